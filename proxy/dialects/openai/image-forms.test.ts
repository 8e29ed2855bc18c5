import { OpenAI, toFile } from 'openai';
import { describe, expect, it } from 'vitest';
import type { ChannelRecord, KeyRecord } from '../../../core/snapshot.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../../../test/support/records.ts';
import { answerJson, type UpstreamHandler } from '../../../test/support/test-upstream.ts';
import { type ProxyAndUpstream, useProxy } from '../../../test/support/use-proxy.ts';

const startProxy = useProxy();
const usage = { total_tokens: 589, input_tokens: 317, output_tokens: 272, input_tokens_details: { text_tokens: 17, image_tokens: 300 } };
const drawing: UpstreamHandler = (_request, response) => answerJson(response, { created: 1, data: [{ b64_json: 'AAAA' }], usage });

async function start({
  channel = {},
  key = {},
  answer = drawing,
}: { channel?: Partial<ChannelRecord>; key?: Partial<KeyRecord>; answer?: UpstreamHandler } = {}): Promise<
  ProxyAndUpstream & { readonly client: OpenAI }
> {
  const keys = [makeKeyRecord({ budgets: [{ period: 'Monthly', limitNanoUsd: 100e9, mode: 'Enforce', warnAt: [] }], ...key })];
  const { proxy, upstream } = await startProxy(answer, (url) => ({ channels: [makeChannelRecord(url, channel)], keys }));
  return { proxy, upstream, client: new OpenAI({ apiKey: keyText, baseURL: `${proxy.url}/v1`, maxRetries: 0 }) };
}

const image = (name = 'a.png'): Promise<File> => toFile(Buffer.alloc(5000, 'a'), name, { type: 'image/png' });

describe('POST /v1/images/edits', () => {
  it('takes the form of the SDK with several images, and charges what the answer tells', async () => {
    const { proxy, upstream, client } = await start({ channel: { models: [{ name: 'draw', upstreamName: 'gpt-image-2' }] } });
    await client.images.edit({
      image: [await image(), await image('b.png')],
      mask: await image('m.png'),
      prompt: 'a cat',
      model: 'draw',
      n: 2,
      size: '1024x1024',
      quality: 'low',
    });
    const [seen] = upstream.requests;
    const form = await new Response(Buffer.from(seen?.body ?? ''), {
      headers: { 'content-type': seen?.headers['content-type'] ?? '' },
    }).formData();
    expect([form.getAll('model'), form.getAll('n'), form.getAll('image[]').length]).toEqual([['gpt-image-2'], ['2'], 2]);
    const [settlement] = proxy.counters.settlements;
    expect(settlement?.event?.usage).toMatchObject({ inputTokens: 317, outputTokens: 272, imageInputTokens: 300 });
    expect(settlement?.money?.costNanoUsd).toBe(17 * 5000 + 300 * 8000 + 272 * 30_000);
    // two images of at most 512 tokens
    expect(proxy.counters.admissions[0]?.money?.boundNanoUsd).toBeGreaterThan(2 * 512 * 30_000);
  });

  it('charges images at the rate of images, and the author of an SVG beside them', async () => {
    const svg = { model: 'gpt-5.5', input_tokens: 10, output_tokens: 40 };
    const { proxy, client } = await start({ answer: (_request, response) => answerJson(response, { data: [{}], usage, svg_usage: svg }) });
    await client.images.edit({ image: await image(), prompt: 'a', model: 'gpt-image-1.5' });
    const [settlement] = proxy.counters.settlements;
    expect(settlement?.event?.usage).toMatchObject({ inputTokens: 327, outputTokens: 312, imageOutputTokens: 272 });
    expect(settlement?.money?.costNanoUsd).toBe(27 * 5000 + 300 * 8000 + 272 * 32_000 + 40 * 10_000);
  });

  it('streams, and counts the completed image', async () => {
    const { proxy, client } = await start({
      answer: (_request, response) => {
        const event = { type: 'image_edit.completed', b64_json: 'A'.repeat(100_000), usage };
        response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
      },
    });
    const stream = await client.images.edit({ image: await image(), prompt: 'a', model: 'gpt-image-2', stream: true, partial_images: 1 });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types).toEqual(['image_edit.completed']);
    expect(proxy.counters.settlements[0]?.event?.usage).toMatchObject({ outputTokens: 272 });
    expect(proxy.accessLines()[0]).toMatchObject({ stream: true });
  });

  it('costs by the image where the Channel sells those', async () => {
    const { proxy, client } = await start({
      channel: { provider: 'OpenAICompatible', models: [{ name: '*', price: { image: 20_000_000 } }] },
      answer: (_request, response) => answerJson(response, { data: [{ url: 'https://x/1' }, { url: 'https://x/2' }] }),
    });
    await client.images.edit({ image: await image(), prompt: 'a', model: 'flux', n: 2 });
    expect(proxy.counters.admissions[0]?.money?.boundNanoUsd).toBe(40_000_000);
    expect(proxy.counters.settlements[0]?.money?.costNanoUsd).toBe(40_000_000);
  });

  it('takes JSON as well, which may not name stored files', async () => {
    const { proxy, upstream } = await start();
    const ask = async (body: object): Promise<[number, string | undefined]> => {
      const response = await fetch(`${proxy.url}/v1/images/edits`, {
        method: 'POST',
        headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'gpt-image-2', prompt: 'a', ...body }),
      });
      const { error } = (await response.json()) as { error?: { code?: string } };
      return [response.status, error?.code ?? undefined];
    };
    const url = { image_url: `data:image/png;base64,${'A'.repeat(100_000)}` };
    expect(await ask({ images: [url, { image_url: 'https://example.com/a.png' }] })).toEqual([200, undefined]);
    expect(upstream.requests[0]?.headers['content-type']).toBe('application/json');
    // two images, and not the tokens of their letters
    expect(proxy.counters.admissions[0]?.tokens).toBeLessThan(15_000);
    expect(await ask({ images: [{ file_id: 'file-1' }] })).toEqual([400, 'unsupported_reference']);
    expect(await ask({ images: [url], mask: { file_id: 'file-1' } })).toEqual([400, 'unsupported_reference']);
    expect(await ask({ images: [{ ...url, file_id: null }] })).toEqual([400, 'unsupported_reference']);
    expect(await ask({ images: 'x' })).toEqual([400, 'invalid_request']);
    expect(upstream.requests).toHaveLength(1);
  });

  it('asks leave for the model of an SVG too, however it is written', async () => {
    const { proxy, upstream } = await start({ key: { access: { models: ['gpt-image-*'] } } });
    const ask = async (fields: Record<string, string>): Promise<number> => {
      const form = new FormData();
      for (const [name, value] of Object.entries({ model: 'gpt-image-2', prompt: 'a', output_format: 'svg', ...fields }))
        form.append(name, value);
      form.append('image', await image());
      const headers = { authorization: `Bearer ${keyText}` };
      return (await fetch(`${proxy.url}/v1/images/edits`, { method: 'POST', headers, body: form })).status;
    };
    expect(await ask({})).toBe(200);
    expect(await ask({ 'svg[model]': 'gpt-5.5' })).toBe(403);
    expect(await ask({ svg: '{"model":"gpt-5.5"}' })).toBe(400);
    expect(await ask({ svg: '{"model":"gpt-5.5"}', 'svg[model]': 'gpt-image-2' })).toBe(400);
    expect(await ask({ 'svg.model': 'gpt-5.5' })).toBe(400);
    expect(await ask({ n: '1e1' })).toBe(400);
    expect(await ask({ n: '' })).toBe(400);
    expect(await ask({ n: '1000' })).toBe(400);
    expect(await ask({ stream: 'True' })).toBe(400);
    expect(upstream.requests).toHaveLength(1);
  });
});

it('POST /v1/images/variations is served in the same way, as a form only', async () => {
  const { proxy, upstream, client } = await start({
    channel: { provider: 'OpenAICompatible', models: [{ name: '*', price: { image: 20_000_000 } }] },
  });
  await client.images.createVariation({ image: await image(), model: 'dall-e-2', n: 3 });
  expect(upstream.requests[0]?.url).toBe('/v1/images/variations');
  expect(proxy.counters.admissions[0]?.money?.boundNanoUsd).toBe(60_000_000);
  const response = await fetch(`${proxy.url}/v1/images/variations`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
    body: '{"model":"dall-e-2"}',
  });
  expect(response.status).toBe(415);
});
