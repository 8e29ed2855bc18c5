import { describe, expect, it } from 'vitest';
import type { Usage } from '../../../core/usage.ts';
import { answerJson, type UpstreamHandler } from '../../../test/support/test-upstream.ts';
import { useOneChannel } from '../../../test/support/one-channel.ts';
import type { Body, Meter, Metered, RequestShape, Surface } from '../dialect.ts';
import { imagesDriver } from './images.ts';

const surface = imagesDriver.surfaces[0] as Surface;
const estimatedInputTokens = 9;

function shapeOf(body: Body): RequestShape {
  const parsed = imagesDriver.parseShape({ model: 'gpt-image-2', prompt: 'a', ...body }, surface, {});
  if ('refusal' in parsed) throw new Error(parsed.refusal.message);
  return parsed.shape;
}

describe('the shape of a request for images', () => {
  it.each([
    ['nothing else', {}, { stream: false, choices: 1, counts: { images: 1 }, maxOutputTokens: 8779, estimatedOutputTokens: 8779 }],
    [
      'several',
      { n: 4, quality: 'low', size: '1024x1024' },
      { choices: 4, counts: { images: 4 }, maxOutputTokens: 512, estimatedOutputTokens: 2048 },
    ],
    ['a small size, which is no cheaper', { size: '256x256', quality: 'medium' }, { maxOutputTokens: 2048 }],
    ['a large size', { size: '3840x2160', quality: 'high' }, { maxOutputTokens: 20_160 }],
    ['partial images', { stream: true, partial_images: 3, size: '1024x1024', quality: 'high' }, { stream: true, maxOutputTokens: 7468 }],
    ['frames', { output_format: 'gif', frame_count: 4, size: '1024x1024', quality: 'low' }, { maxOutputTokens: 2048 }],
    [
      'an SVG, which nothing bounds',
      { output_format: 'svg', svg: { model: 'gpt-5.5' } },
      { maxOutputTokens: undefined, otherModels: ['gpt-5.5'] },
    ],
    ['a quality that is a member of every object', { quality: 'constructor', size: '1024x1024' }, { maxOutputTokens: 7168 }],
    ['what retired models took', { quality: 'hd', style: 'vivid', size: '1024x1024', response_format: 'url' }, { maxOutputTokens: 7168 }],
  ])('with %s', (_what, body, expected) => expect(shapeOf(body)).toMatchObject(expected));

  it.each([
    [{ model: null }, 'model'],
    [{ n: 0 }, 'n'],
    [{ n: '2' }, 'n'],
    [{ size: 1024 }, 'size'],
    [{ Quality: 'high' }, 'Quality'],
    [{ stream: 'yes' }, 'stream'],
    [{ partial_images: -1 }, 'partial_images'],
    [{ svg: 'gpt-5.5' }, 'svg'],
    [{ svg: { model: 7 } }, 'svg'],
    [{ svg: { MODEL: 'gpt-5.5' } }, 'svg'],
  ])('refuses %o, naming %s', (body, param) => {
    expect(imagesDriver.parseShape({ model: 'a', ...body }, surface, {})).toMatchObject({ refusal: { code: 'invalid_request', param } });
  });
});

const meterOf = (body: Body, stream = false): Meter =>
  imagesDriver.makeMeter({
    surface,
    stream,
    withholdUsage: false,
    estimatedInputTokens,
    shape: shapeOf({ quality: 'low', size: '1024x1024', ...body }),
  });
const usage = { total_tokens: 289, input_tokens: 17, output_tokens: 272, input_tokens_details: { text_tokens: 17, image_tokens: 0 } };
const picture = 'A'.repeat(100_000);

/** The answer cut into pieces of that many bytes; broken off unless `ended`. */
function play(meter: Meter, text: string, { bytes = 1000, ended = true } = {}): Metered | undefined {
  const all = Buffer.from(text);
  for (let start = 0; start < all.length; start += bytes) {
    const chunk = all.subarray(start, start + bytes);
    expect(meter.push(chunk)).toEqual([chunk]);
  }
  if (ended) meter.end();
  return meter.usage();
}

describe('the usage of images', () => {
  it('is what the answer tells, wherever it is cut', () => {
    const text = JSON.stringify({ created: 1, data: [{ b64_json: picture }], usage });
    for (const bytes of [1, 7, 1000, 65_536]) {
      expect(play(meterOf({}), text, { bytes })).toEqual({
        usage: expect.objectContaining({ inputTokens: 17, outputTokens: 272, images: 1 }) as Usage,
        exact: true,
      });
    }
  });

  it('is the number of images where it tells nothing, and tokens are estimated', () => {
    const data = [
      { url: 'https://x/1', revised_prompt: '{"usage":{}}' },
      { url: 'https://x/2', more: { a: [{}] } },
    ];
    expect(play(meterOf({ n: 2 }), JSON.stringify({ created: 1, data }))).toMatchObject({
      usage: { inputTokens: estimatedInputTokens, outputTokens: 1024, images: 2 },
      exact: false,
    });
    // filters took one of them away
    expect(play(meterOf({ n: 2 }), JSON.stringify({ data: data.slice(1) }))).toMatchObject({ usage: { outputTokens: 512, images: 1 } });
  });

  it('of an answer that broke off, or is none, is what was asked for', () => {
    const text = JSON.stringify({ data: [{ b64_json: picture }, { b64_json: picture }], usage });
    expect(play(meterOf({ n: 3 }), text.slice(0, 1000), { ended: false })).toMatchObject({
      usage: { images: 3, outputTokens: 1536 },
      exact: false,
    });
    expect(play(meterOf({ n: 3 }), '')).toMatchObject({ usage: { images: 3, outputTokens: 1536 }, exact: false });
  });

  const event = (type: string, more: object = {}): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, b64_json: picture, ...more })}\n\n`;
  const partial = event('image_generation.partial_image', { partial_image_index: 0 });
  const completed = event('image_generation.completed', { usage });

  it('of a stream stands in its completed images, however large and wherever they are cut', () => {
    for (const bytes of [1, 1000, 300_000]) {
      expect(play(meterOf({ stream: true }, true), `: hello\n\n${partial}${completed}`, { bytes })).toMatchObject({
        usage: { inputTokens: 17, outputTokens: 272, images: 1 },
        exact: true,
      });
    }
    expect(play(meterOf({ stream: true, n: 2 }, true), completed + completed)).toMatchObject({
      usage: { inputTokens: 34, outputTokens: 544, images: 2 },
      exact: true,
    });
  });

  it('of a stream that broke off holds what was still to come', () => {
    expect(play(meterOf({ stream: true }, true), partial, { ended: false })).toMatchObject({
      usage: { inputTokens: estimatedInputTokens, outputTokens: 512, images: 1 },
      exact: false,
    });
    expect(play(meterOf({ stream: true, n: 2 }, true), completed + partial, { ended: false })).toMatchObject({
      usage: { inputTokens: 17, outputTokens: 272 + 512, images: 2 },
      exact: false,
    });
  });
});

describe('POST /v1/images/generations', () => {
  const start = useOneChannel();
  const budgets = [{ period: 'Monthly', limitNanoUsd: 10e9, mode: 'Enforce', warnAt: [] }] as const;
  const drawing =
    (answer: object): UpstreamHandler =>
    (_request, response) =>
      answerJson(response, answer);
  const cost = (response: Response): string | null => response.headers.get('x-keywright-cost-usd');

  it('costs its images where the Channel prices those, its tokens where those have a price, and never nothing', async () => {
    const data = [{ url: 'https://x/1' }, { url: 'https://x/2' }];
    const ask = async (answer: object, price: object, model = 'flux'): Promise<[number, string | null]> => {
      const { post } = await start(drawing(answer), {
        channel: { provider: 'OpenAICompatible', models: [{ name: '*', price }] },
        key: { budgets },
      });
      const response = await post('/v1/images/generations', { model, prompt: 'a cat', n: 2, quality: 'low', size: '1024x1024' });
      await response.text();
      return [response.status, cost(response)];
    };
    expect(await ask({ data }, { image: 40_000_000 })).toEqual([200, '0.08']);
    expect(await ask({ data, usage }, { input: 1e9, output: 10e9 })).toEqual([200, '0.002737']);
    // nothing told: 512 tokens an image
    expect(await ask({ data }, { input: 0, output: 10e9 })).toEqual([200, '0.01024']);
    expect(await ask({ data }, { input: 1e9 })).toEqual([403, null]);
  });

  it('is refused while a budget does not hold all images that are asked for', async () => {
    const { post, proxy } = await start(drawing({ data: [{}] }), {
      channel: { provider: 'OpenAICompatible', models: [{ name: '*', price: { image: 2_000_000_000 } }] },
      key: { budgets },
    });
    expect((await post('/v1/images/generations', { model: 'flux', prompt: 'a', n: 6 })).status).toBe(429);
    expect((await post('/v1/images/generations', { model: 'flux', prompt: 'a', n: 5 })).status).toBe(200);
    expect(proxy.counters.admissions[0]?.money?.boundNanoUsd).toBe(10_000_000_000);
  });

  it('needs the scope, and a model that the key may use, in every place that names one', async () => {
    const { post, upstream } = await start(drawing({ data: [{}] }), { key: { access: { scopes: ['images'], models: ['gpt-image-*'] } } });
    const ask = async (body: object): Promise<number> =>
      (await post('/v1/images/generations', { model: 'gpt-image-2', prompt: 'a', ...body })).status;
    expect(await ask({})).toBe(200);
    expect(await ask({ model: 'dall-e-3' })).toBe(403);
    expect(await ask({ output_format: 'svg', svg: { model: 'gpt-5.5' } })).toBe(403);
    expect(await ask({ model: undefined })).toBe(400);
    expect(upstream.requests).toHaveLength(1);
    const other = await start(drawing({}), { key: { access: { scopes: ['chat', 'audio'] } } });
    expect((await other.post('/v1/images/generations', { model: 'gpt-image-2' })).status).toBe(403);
  });
});
