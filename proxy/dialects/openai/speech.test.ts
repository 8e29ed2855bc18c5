import { describe, expect, it } from 'vitest';
import { answerJson, type UpstreamHandler } from '../../../test/support/test-upstream.ts';
import { useOneChannel } from '../../../test/support/one-channel.ts';
import type { Body, RequestShape, Surface } from '../dialect.ts';
import { speechDriver } from './speech.ts';

const surface = speechDriver.surfaces[0] as Surface;

function shapeOf(body: Body): RequestShape {
  const parsed = speechDriver.parseShape({ model: 'tts-1', voice: 'ash', ...body }, surface, {});
  if ('refusal' in parsed) throw new Error(parsed.refusal.message);
  return parsed.shape;
}

describe('the shape of a request for speech', () => {
  it.each([
    [
      'a text',
      { input: 'x'.repeat(100) },
      { stream: false, counts: { characters: 100 }, maxOutputTokens: 464, estimatedOutputTokens: 150 },
    ],
    ['characters of several bytes', { input: '語😀é' }, { counts: { characters: 3 } }],
    ['slow speech', { input: 'x'.repeat(100), speed: 0.25 }, { maxOutputTokens: 1664, estimatedOutputTokens: 600 }],
    ['fast speech', { input: 'x'.repeat(100), speed: 4 }, { maxOutputTokens: 464, estimatedOutputTokens: 38 }],
    ['events', { input: 'x', stream_format: 'sse' }, { stream: true }],
    ['sound', { input: 'x', stream_format: 'audio' }, { stream: false }],
  ])('with %s', (_what, body, expected) => expect(shapeOf(body)).toMatchObject(expected));

  it.each([
    [{ input: undefined }, 'input'],
    [{ input: ['x'] }, 'input'],
    [{ speed: 0.1 }, 'speed'],
    [{ speed: '1' }, 'speed'],
    [{ Input: 'y' }, 'Input'],
    [{ model: undefined }, 'model'],
  ])('refuses %o, naming %s', (body, param) => {
    expect(speechDriver.parseShape({ model: 'tts-1', input: 'x', ...body }, surface, {})).toMatchObject({ refusal: { param } });
  });
});

describe('POST /v1/audio/speech', () => {
  const start = useOneChannel();
  const budgets = [{ period: 'Monthly', limitNanoUsd: 10e9, mode: 'Enforce', warnAt: [] }] as const;
  const sound = Buffer.from([0xff, 0xf3, 0x00, 0x22, 0x7b, 0x0a]);
  const speaking: UpstreamHandler = (_request, response) => response.writeHead(200, { 'content-type': 'audio/mpeg' }).end(sound);
  const input = 'y'.repeat(1000);

  it('passes sound as it comes, and is charged by the character where the model is sold so', async () => {
    const { post, proxy, upstream } = await start(
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'audio/mpeg' }).write(sound);
        setTimeout(() => response.end(sound), 300);
      },
      { key: { budgets } },
    );
    const response = await post('/v1/audio/speech', { model: 'tts-1', voice: 'ash', input });
    expect(response.headers.get('content-type')).toBe('audio/mpeg');
    const reader = response.body?.getReader();
    expect((await reader?.read())?.value).toEqual(new Uint8Array(sound));
    expect(proxy.counters.settlements).toEqual([]);
    await reader?.read();
    await reader?.read();
    expect(upstream.requests[0]?.url).toBe('/v1/audio/speech');
    expect(proxy.counters.settlements[0]?.money?.costNanoUsd).toBe(15_000_000);
    expect(proxy.counters.admissions[0]?.money).toMatchObject({ boundNanoUsd: 2 * 15_000_000, floorNanoUsd: 15_000_000 });
  });

  it('is charged estimated tokens where the model is sold by those and nothing is told', async () => {
    const { post, proxy } = await start(speaking, { key: { budgets } });
    await (await post('/v1/audio/speech', { model: 'gpt-4o-mini-tts', voice: 'ash', input })).arrayBuffer();
    const { outputTokens = 0, inputTokens = 0 } = proxy.counters.settlements[0]?.event?.usage ?? {};
    expect([outputTokens, inputTokens]).toEqual([1500, expect.closeTo(255, -1)]);
    expect(proxy.counters.settlements[0]?.money?.costNanoUsd).toBe(outputTokens * 12_000 + inputTokens * 600);
    expect(proxy.counters.admissions[0]?.money?.boundNanoUsd).toBeGreaterThan(4000 * 12_000);
  });

  it('is charged what the last event tells', async () => {
    const events = [
      '{"type":"speech.audio.delta","audio":"AAAA"}',
      '{"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}',
    ];
    const text = events.map((event) => `data: ${event}\n\n`).join('');
    const { post, proxy } = await start(
      (_request, response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).end(text),
      {
        key: { budgets },
      },
    );
    expect(await (await post('/v1/audio/speech', { model: 'gpt-4o-mini-tts', voice: 'ash', input, stream_format: 'sse' })).text()).toBe(
      text,
    );
    expect(proxy.counters.settlements[0]).toMatchObject({ tokens: 115, money: { costNanoUsd: 14 * 600 + 101 * 12_000 } });
  });

  it('that was given up is charged its characters', async () => {
    const { post, proxy } = await start((_request, response) => response.destroy(), {
      channel: { retries: { attempts: 0, on: [] } },
      key: { budgets },
    });
    expect((await post('/v1/audio/speech', { model: 'tts-1', voice: 'ash', input })).status).toBe(503);
    expect(proxy.counters.settlements[0]?.money?.costNanoUsd).toBe(15_000_000);
  });

  it('needs the scope', async () => {
    const { post } = await start((_request, response) => answerJson(response, {}), { key: { access: { scopes: ['chat', 'images'] } } });
    expect((await post('/v1/audio/speech', { model: 'tts-1', voice: 'ash', input })).status).toBe(403);
  });
});
