import { OpenAI, toFile } from 'openai';
import { describe, expect, it } from 'vitest';
import type { ChannelRecord } from '../../../core/snapshot.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../../../test/support/records.ts';
import type { TestProxy } from '../../../test/support/test-proxy.ts';
import { answerJson, type UpstreamHandler } from '../../../test/support/test-upstream.ts';
import { type ProxyAndUpstream, useProxy } from '../../../test/support/use-proxy.ts';

import { makeMp3, makeOggOpus, makeWav } from '../../../test/support/recording-files.ts';

const startProxy = useProxy();
const budgets = [{ period: 'Monthly', limitNanoUsd: 1000e9, mode: 'Enforce', warnAt: [] }] as const;

async function start(
  answer: UpstreamHandler,
  channel: Partial<ChannelRecord> = {},
): Promise<ProxyAndUpstream & { readonly client: OpenAI }> {
  const { proxy, upstream } = await startProxy(answer, (url) => ({
    channels: [makeChannelRecord(url, channel)],
    keys: [makeKeyRecord({ limits: { tpm: 10_000_000 }, budgets })],
  }));
  return { proxy, upstream, client: new OpenAI({ apiKey: keyText, baseURL: `${proxy.url}/v1`, maxRetries: 0 }) };
}

/** of a format that tells nothing of its length: 55 seconds of the leanest speech at most */
const recording = (): Promise<File> => toFile(Buffer.alloc(40_000, 'a'), 'a.mp3', { type: 'audio/mpeg' });
const settled = (proxy: TestProxy): unknown => ({
  usage: proxy.counters.settlements[0]?.event?.usage,
  cost: proxy.counters.settlements[0]?.money?.costNanoUsd,
});
const usageOf = (parts: object): unknown => expect.objectContaining(parts);

describe('POST /v1/audio/transcriptions', () => {
  it('forwards what the SDK sends byte by byte but for the name of the model, and is charged by the second', async () => {
    const answer = { text: 'Hello', usage: { type: 'duration', seconds: 9 } };
    const { proxy, upstream, client } = await start((_request, response) => answerJson(response, answer), {
      models: [{ name: 'whisper', upstreamName: 'whisper-1' }],
    });
    const got = await client.audio.transcriptions.create({
      file: await recording(),
      model: 'whisper',
      timestamp_granularities: ['word', 'segment'],
    });
    expect(got.text).toBe('Hello');
    const [seen] = upstream.requests;
    const form = await new Response(Buffer.from(seen?.body ?? ''), {
      headers: { 'content-type': seen?.headers['content-type'] ?? '' },
    }).formData();
    expect(form.getAll('model')).toEqual(['whisper-1']);
    expect(form.getAll('timestamp_granularities[]')).toEqual(['word', 'segment']);
    expect((form.get('file') as File).size).toBe(40_000);
    expect(seen?.headers['content-length']).toBe(String(seen?.body.length));
    // 0.006 dollars a minute
    expect(settled(proxy)).toEqual({ usage: usageOf({ audioMilliseconds: 9000, inputTokens: 0 }), cost: 900_000 });
    const [admission] = proxy.counters.admissions;
    expect(admission?.money?.boundNanoUsd).toBe(55 * 100_000);
  });

  it('is charged what the verbose format says of the length', async () => {
    const { proxy, client } = await start((_request, response) =>
      answerJson(response, { task: 'transcribe', language: 'english', duration: 8.47, text: 'x', segments: [{ duration: 3 }] }),
    );
    await client.audio.transcriptions.create({ file: await recording(), model: 'whisper-1', response_format: 'verbose_json' });
    expect(settled(proxy)).toEqual({ usage: usageOf({ audioMilliseconds: 8470 }), cost: 847_000 });
  });

  it('is charged the tokens of models that are sold by the token', async () => {
    const usage = {
      type: 'tokens',
      input_tokens: 100,
      output_tokens: 20,
      total_tokens: 120,
      input_token_details: { audio_tokens: 90, text_tokens: 10 },
    };
    const { proxy, client } = await start((_request, response) => answerJson(response, { text: 'x', usage }));
    await client.audio.transcriptions.create({ file: await recording(), model: 'gpt-4o-transcribe' });
    expect(settled(proxy)).toEqual({
      usage: usageOf({ inputTokens: 100, audioInputTokens: 90, outputTokens: 20 }),
      cost: 90 * 6000 + 10 * 2500 + 20 * 10_000,
    });
    expect(proxy.counters.settlements[0]?.tokens).toBe(120);
  });

  it('streams events as they come and is charged what the last one tells', async () => {
    const events = [
      { type: 'transcript.text.delta', delta: 'Hel' },
      { type: 'transcript.text.delta', delta: 'lo' },
      { type: 'transcript.text.done', text: 'Hello', usage: { type: 'tokens', input_tokens: 50, output_tokens: 3, total_tokens: 53 } },
    ];
    const { proxy, client } = await start((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const event of events) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
      response.end();
    });
    const stream = await client.audio.transcriptions.create({ file: await recording(), model: 'gpt-4o-transcribe', stream: true });
    const seen: unknown[] = [];
    for await (const event of stream) seen.push(event);
    expect(seen).toEqual(events);
    expect(settled(proxy)).toEqual({ usage: usageOf({ inputTokens: 50, outputTokens: 3 }), cost: 50 * 2500 + 3 * 10_000 });
    expect(proxy.accessLines()[0]).toMatchObject({ stream: true, surface: 'audio_transcriptions' });
  });

  it.each([
    ['text', 'text/plain', 'Hello\n'],
    ['srt', 'text/plain', '1\n00:00:00,000 --> 00:00:01,000\nHello\n'],
    ['vtt', 'text/vtt', 'WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n'],
    // what was spoken, and no usage
    ['text', 'text/plain', '{"usage":{"type":"duration","seconds":0},"duration":0}'],
  ] as const)('in the format %s passes as it comes and is charged by the size of the recording (%#)', async (format, contentType, text) => {
    const { proxy, client } = await start((_request, response) => response.writeHead(200, { 'content-type': contentType }).end(text));
    expect(await client.audio.transcriptions.create({ file: await recording(), model: 'whisper-1', response_format: format })).toBe(text);
    // all that was reserved: nobody knows better
    expect(settled(proxy)).toEqual({ usage: usageOf({ audioMilliseconds: 55_000 }), cost: 5_500_000 });
    expect(proxy.counters.admissions[0]?.money?.boundNanoUsd).toBe(5_500_000);
  });

  it.each([
    // 16 bits, one channel
    ['wav', makeWav({ samplesPerSecond: 16_000, seconds: 30 })],
    ['mp3', makeMp3({ kbits: 64, seconds: 30 })],
    ['ogg', makeOggOpus({ seconds: 30, bytesPerSecond: 2000 })],
  ])('%s is reserved and charged by its own length where the answer tells none', async (name, bytes) => {
    const { proxy, client } = await start((_request, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end('Hello'));
    const file = await toFile(bytes, `a.${name}`);
    await client.audio.transcriptions.create({ file, model: 'whisper-1', response_format: 'text' });
    const { usage, cost } = settled(proxy) as { usage: { audioMilliseconds: number }; cost: number };
    expect(usage.audioMilliseconds).toBeGreaterThanOrEqual(30_000);
    expect(usage.audioMilliseconds).toBeLessThanOrEqual(32_000);
    expect([cost, proxy.counters.admissions[0]?.money?.boundNanoUsd]).toEqual([usage.audioMilliseconds * 100, cost]);
  });

  it('in tokens reserves at least what OpenAI counts for so many seconds', async () => {
    // 30 seconds are 300 tokens of sound, and four hundred words a minute some 300 of text
    const usage = { type: 'tokens', input_tokens: 300, output_tokens: 300, total_tokens: 600, input_token_details: { audio_tokens: 300 } };
    const { proxy, client } = await start((_request, response) => answerJson(response, { text: 'x', usage }));
    const file = await toFile(makeOggOpus({ seconds: 30, bytesPerSecond: 800 }), 'a.ogg');
    await client.audio.transcriptions.create({ file, model: 'gpt-4o-transcribe' });
    const { cost } = settled(proxy) as { cost: number };
    expect(cost).toBe(300 * 6000 + 300 * 10_000);
    expect(proxy.counters.admissions[0]?.money?.boundNanoUsd).toBeGreaterThanOrEqual(cost);
  });

  it('that broke off is never free', async () => {
    const { proxy, client } = await start((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"type":"transcript.text.delta","delta":"H"}\n\n');
      setTimeout(() => response.destroy(), 50);
    });
    const stream = await client.audio.transcriptions.create({ file: await recording(), model: 'gpt-4o-transcribe', stream: true });
    await expect(async () => {
      for await (const _ of stream);
    }).rejects.toThrow();
    const { usage, cost } = settled(proxy) as { usage: { inputTokens: number; outputTokens: number }; cost: number };
    expect(usage.inputTokens).toBeGreaterThanOrEqual(550);
    expect(usage.outputTokens).toBeGreaterThanOrEqual(50);
    expect(cost).toBeGreaterThan(0);
  });

  it('needs a recording, a model and the scope', async () => {
    const { proxy, upstream } = await start((_request, response) => answerJson(response, {}));
    const ask = async (fields: Record<string, string | File>): Promise<[number, string]> => {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.append(name, value);
      const response = await fetch(`${proxy.url}/v1/audio/transcriptions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${keyText}` },
        body: form,
      });
      const { error } = (await response.json()) as { error: { param: string } };
      return [response.status, error.param];
    };
    const file = await recording();
    expect(await ask({ file })).toEqual([400, 'model']);
    expect(await ask({ model: 'whisper-1' })).toEqual([400, 'file']);
    expect(await ask({ model: 'whisper-1', url: 'https://example.com/a.mp3' })).toEqual([400, 'file']);
    expect(await ask({ model: 'whisper-1', file: 'no file' })).toEqual([400, 'file']);
    expect(await ask({ file, model: 'whisper-1', stream: 'yes' })).toEqual([400, 'stream']);
    expect(await ask({ file, model: '../whisper' })).toEqual([400, 'model']);
    expect(upstream.requests).toEqual([]);
  });
});

it('POST /v1/audio/translations is served in the same way', async () => {
  const { proxy, upstream, client } = await start((_request, response) => answerJson(response, { text: 'Hello' }));
  expect((await client.audio.translations.create({ file: await recording(), model: 'whisper-1' })).text).toBe('Hello');
  expect(upstream.requests[0]?.url).toBe('/v1/audio/translations');
  expect((settled(proxy) as { cost: number }).cost).toBe(5_500_000);
});
