import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ChannelRecord } from '../../../core/snapshot.ts';
import { answerJson, type UpstreamHandler } from '../../../test/support/test-upstream.ts';
import { useOneChannel } from '../../../test/support/one-channel.ts';
import { scanJson } from '../../bodies/json-scan.ts';
import type { Body, RequestShape, Surface } from '../dialect.ts';
import { completionsDriver } from './completions.ts';

const surface = completionsDriver.surfaces[0] as Surface;
const file = (name: string): Buffer => readFileSync(new URL(`../testdata/${name}`, import.meta.url));

function shapeOf(body: Body): RequestShape {
  const parsed = completionsDriver.parseShape({ model: 'gpt-3.5-turbo-instruct', ...body }, surface, {});
  if ('refusal' in parsed) throw new Error(parsed.refusal.message);
  return parsed.shape;
}

describe('the shape of a completion', () => {
  it.each([
    ['nothing else', {}, { stream: false, maxOutputTokens: undefined, defaultOutputTokens: 16, choices: 1, asksUsage: false }],
    ['a text', { prompt: 'a', n: 3 }, { choices: 3 }],
    ['a list of texts', { prompt: ['a', 'b'], n: 3 }, { choices: 6 }],
    ['a list of tokens', { prompt: [1, 2, 3] }, { choices: 1 }],
    ['lists of tokens', { prompt: [[1, 2], [3], [4]], n: 2 }, { choices: 6 }],
    ['more made than shown', { prompt: 'a', n: 2, best_of: 5 }, { choices: 5 }],
    ['a bound', { prompt: 'a', max_tokens: 40 }, { maxOutputTokens: 40 }],
    ['only its echo', { prompt: 'a', echo: true, max_tokens: 0 }, { maxOutputTokens: undefined, defaultOutputTokens: 16 }],
    ['a stream with usage', { stream: true, stream_options: { include_usage: true } }, { stream: true, asksUsage: true }],
  ])('with %s', (_what, body, expected) => expect(shapeOf(body)).toMatchObject(expected));

  it.each([
    [{ prompt: 5 }, 'prompt'],
    [{ prompt: { text: 'a' } }, 'prompt'],
    [{ prompt: ['a', 5] }, 'prompt'],
    [{ prompt: [[1], 'a'] }, 'prompt'],
    [{ prompt: [1, 'a'] }, 'prompt'],
    [{ prompt: Array.from({ length: 2049 }, () => 'a') }, 'prompt'],
    [{ best_of: 0 }, 'best_of'],
    [{ n: 129 }, 'n'],
    [{ max_tokens: -1 }, 'max_tokens'],
    [{ stream_options: [] }, 'stream_options'],
    [{ Best_Of: 3 }, 'Best_Of'],
    [{ model: null }, 'model'],
  ])('refuses %o, naming %s', (body, param) => {
    expect(completionsDriver.parseShape({ model: 'a', ...body }, surface, {})).toMatchObject({
      refusal: { code: 'invalid_request', param },
    });
  });
});

describe('what is measured of a completion', () => {
  const measure = (body: object): unknown => {
    const scan = scanJson(Buffer.from(JSON.stringify({ model: 'a', max_tokens: 5, ...body })));
    return scan.ok ? completionsDriver.measure(scan.body, surface) : scan.refusal;
  };

  it('are the bytes of texts, and tokens one by one', () => {
    const long = 'x'.repeat(1000);
    expect(measure({ prompt: long })).toMatchObject({ textBytes: expect.closeTo(1020, -2), tokens: 0 });
    expect(measure({ prompt: [[1, 2, 3], [40_000]] })).toMatchObject({ tokens: 4, textBytes: expect.closeTo(10, -2) });
    expect(measure({ prompt: [1, 2], suffix: long })).toMatchObject({ tokens: 2, textBytes: expect.closeTo(1020, -2) });
  });
});

const start = useOneChannel();
const completion = (body: object): object => ({ model: 'gpt-3.5-turbo-instruct', ...body });

it('a provider that tells the usage of a stream unasked is not asked for it', () => {
  const body = { model: 'm', stream: true };
  const splice = (tellsUsageUnasked: boolean): unknown =>
    completionsDriver.spliceFor({ surface, shape: shapeOf(body), body, upstreamModel: 'm', tellsUsageUnasked });
  expect([splice(true), splice(false)]).toEqual([[], [{ field: 'stream_options', json: '{"include_usage":true}' }]]);
});

describe('POST /v1/completions', () => {
  const streaming: UpstreamHandler = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(file('openai-completions-usage.sse'));
  };

  it('passes an answer byte for byte and books its usage', async () => {
    const bytes = file('openai-completions.json');
    const { proxy, upstream, post } = await start((_request, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(bytes),
    );
    const response = await post('/v1/completions', completion({ prompt: 'Say this is a test' }));
    expect(await response.text()).toBe(String(bytes));
    expect(upstream.requests[0]?.url).toBe('/v1/completions');
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 12 })]);
  });

  it('asks for the usage of a stream and keeps from the client what it did not ask for', async () => {
    const { proxy, upstream, post } = await start(streaming);
    const text = await (await post('/v1/completions', completion({ prompt: 'x', stream: true }))).text();
    expect(JSON.parse(upstream.requests[0]?.body ?? '')).toMatchObject({ stream_options: { include_usage: true } });
    expect(text).toContain('"text":"."');
    expect(text).not.toContain('"choices":[]');
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 11 })]);
  });

  it('shows the usage to a client that asked for it', async () => {
    const { post } = await start(streaming);
    const text = await (
      await post('/v1/completions', completion({ prompt: 'x', stream: true, stream_options: { include_usage: true } }))
    ).text();
    expect(text).toBe(String(file('openai-completions-usage.sse')));
  });

  it('reserves the sixteen tokens that OpenAI stops at, and no such thing where the server keeps its own bound', async () => {
    const answer: UpstreamHandler = (_request, response) =>
      answerJson(response, { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } });
    const reserve = async (channel: Partial<ChannelRecord>, body: object): Promise<number> => {
      const { proxy, post } = await start(answer, { channel });
      expect((await post('/v1/completions', completion({ prompt: 'x', ...body }))).status).toBe(200);
      return proxy.counters.admissions[0]?.tokens ?? Number.NaN;
    };
    const one = await reserve({}, {});
    expect(await reserve({}, { n: 3 })).toBe(one + 32);
    expect(await reserve({ provider: 'OpenAICompatible' }, {})).toBe(one - 16 + 512);
    expect(await reserve({ provider: 'OpenAICompatible' }, { max_tokens: 16 })).toBe(one);
  });
});
