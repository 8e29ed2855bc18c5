import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilHolds } from '../support/eventually.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { type Gateway, hello, manifestsFor, startGateway } from './gateway.ts';

const usage = { input: 120, output: 345 };
const limit = 1_000_000;
const model = 'claude-sonnet-4-5';

let redis: TestRedis;
let gateway: Gateway;

beforeAll(async () => {
  redis = await startRedis();
  const spec = `{ limits: { tpm: ${limit} } }`;
  gateway = await startGateway({
    redisUrl: redis.url,
    behaviour: () => ({ usage, chunks: 40, chunkDelayMs: 10 }),
    manifests: (provider) =>
      manifestsFor(provider, {
        asked: spec,
        silent: spec,
        whole: spec,
        aborted: spec,
        'aborted-anthropic': spec,
        'stream-anthropic': spec,
      }),
  });
});
afterAll(async () => {
  await gateway.stop();
  await redis.stop();
});

const openai = async (name: string): Promise<OpenAI> =>
  new OpenAI({ baseURL: `${gateway.address}/v1`, apiKey: await gateway.key(name), maxRetries: 0 });

/** The tokens that the minute has left as a client is told, read by a call of its own that books `usage` itself. */
async function remaining(name: string): Promise<number> {
  const answer = await fetch(`${gateway.address}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await gateway.key(name)}`, 'content-type': 'application/json' },
    body: '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}',
  });
  await answer.arrayBuffer();
  return Number(answer.headers.get('x-ratelimit-remaining-tokens'));
}

/** Until nothing of the key is in flight in Redis: each admitted request has its marker there until it is settled. */
async function settled(name: string): Promise<void> {
  await untilHolds(async () => expect(await redis.cli('KEYS', `*:request:default/${name}:*`)).toEqual([]));
}

/** The tokens that `call` booked: what is left before and after, each told before the reading call itself was counted. */
async function bookedBy(name: string, call: () => Promise<unknown>): Promise<number> {
  const before = await remaining(name);
  await settled(name);
  await call();
  await settled(name);
  const after = await remaining(name);
  return before - after - (usage.input + usage.output);
}

describe('tpm books the true usage', () => {
  const all = usage.input + usage.output;

  it('of a whole answer', async () => {
    const call = async (): Promise<unknown> => (await openai('whole')).chat.completions.create({ model: 'gpt-4o-mini', messages: hello });
    expect(await bookedBy('whole', call)).toBe(all);
  });

  it('of a stream whose client asked for usage, which it gets', async () => {
    const booked = await bookedBy('asked', async () => {
      const stream = await (
        await openai('asked')
      ).chat.completions.create({ model: 'gpt-4o-mini', messages: hello, stream: true, stream_options: { include_usage: true } });
      const chunks = await Array.fromAsync(stream);
      expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: usage.input, completion_tokens: usage.output } });
    });
    expect(booked).toBe(all);
  });

  it('of a stream whose client did not ask, and which sees no usage chunk', async () => {
    const booked = await bookedBy('silent', async () => {
      const stream = await (await openai('silent')).chat.completions.create({ model: 'gpt-4o-mini', messages: hello, stream: true });
      const chunks = await Array.fromAsync(stream);
      expect(chunks.length).toBeGreaterThan(40);
      for (const chunk of chunks) expect(chunk.choices.length).toBe(1);
    });
    expect(booked).toBe(all);
    for (const line of gateway.accessLines('silent'))
      expect(line).toMatchObject({ input_tokens: usage.input, output_tokens: usage.output });
  });

  it('of an Anthropic stream', async () => {
    const client = new Anthropic({ baseURL: gateway.address, apiKey: await gateway.key('stream-anthropic'), maxRetries: 0 });
    const call = (): Promise<unknown> => client.messages.stream({ model, max_tokens: 64, messages: hello }).finalMessage();
    expect(await bookedBy('stream-anthropic', call)).toBe(all);
  });

  it('of a stream whose client hangs up in the middle: its input and what had been produced, and the upstream is let go', async () => {
    const booked = await bookedBy('aborted', async () => {
      const stream = await (await openai('aborted')).chat.completions.create({ model: 'gpt-4o-mini', messages: hello, stream: true });
      let seen = 0;
      for await (const chunk of stream) {
        seen += chunk.choices.length;
        if (seen === 12) break;
      }
    });
    expect(booked).toBeGreaterThan(10);
    expect(booked).toBeLessThan(all);
    const aborted = gateway.provider.requests.filter((request) => request.aborted);
    expect(aborted.length).toBeGreaterThan(0);
  });

  it('of an Anthropic stream whose client hangs up: the input is exact', async () => {
    const client = new Anthropic({ baseURL: gateway.address, apiKey: await gateway.key('aborted-anthropic'), maxRetries: 0 });
    const booked = await bookedBy('aborted-anthropic', async () => {
      let seen = 0;
      for await (const event of await client.messages.create({ model, max_tokens: 64, messages: hello, stream: true })) {
        if (event.type === 'content_block_delta') seen += 1;
        if (seen === 12) break;
      }
    });
    expect(booked).toBeGreaterThanOrEqual(usage.input + 10);
    expect(booked).toBeLessThan(all);
  });
});
