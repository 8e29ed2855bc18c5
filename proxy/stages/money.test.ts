import { afterEach, describe, expect, it } from 'vitest';
import type { KeyBudget, KeyLimits } from '../../core/snapshot.ts';
import { chatAnswer, chatBody, postChat } from '../../test/support/chat.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../../test/support/test-proxy.ts';
import { answerJson, startUpstream, type UpstreamHandler } from '../../test/support/test-upstream.ts';
import { untilHolds } from '../../test/support/eventually.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** 1,000 nano-dollars a token in, 10,000 out. */
const price = { input: 1e9, output: 10e9 };
const answering: UpstreamHandler = (_request, response) => answerJson(response, chatAnswer);
/** of chatAnswer: 11 tokens in, 7 out */
const answerCost = 11 * 1000 + 7 * 10_000;

interface Given {
  readonly budget: Partial<KeyBudget>;
  readonly answer?: UpstreamHandler;
  readonly limits?: KeyLimits;
  readonly channel?: Parameters<typeof makeChannelRecord>[1] & object;
}

async function start({ budget, answer = answering, limits, channel }: Given): Promise<TestProxy> {
  const upstream = await startUpstream(answer);
  ends.push(() => upstream.close());
  const budgets: KeyBudget[] = [{ period: 'Monthly', limitNanoUsd: 1e9, mode: 'Enforce', warnAt: [], ...budget }];
  const proxy = await startTestProxy({
    channels: [
      makeChannelRecord(upstream.url, {
        provider: 'OpenAICompatible',
        models: [{ name: '*', price }],
        retries: { attempts: 0, on: [] },
        ...channel,
      }),
    ],
    keys: [makeKeyRecord({ budgets, ...(limits === undefined ? {} : { limits }) })],
  });
  ends.push(() => proxy.stop());
  return proxy;
}

const spent = async (proxy: TestProxy): Promise<unknown> => {
  const limit = { period: 'Monthly', limitNanoUsd: 1e9, shadow: false } as const;
  const answer = await proxy.counters.peek({ keyId: 'default/app', windows: [], budgets: [limit] });
  const [state] = answer.outcome === 'known' ? answer.budgets : [];
  return [state?.spentNanoUsd, state?.reservedNanoUsd];
};

describe('searches that no answer tells', () => {
  const openai = (upstreamName: string) => ({ provider: 'OpenAI', models: [{ name: 'm', upstreamName }] }) as const;
  const body = { ...chatBody, model: 'm', max_tokens: 100 };

  it.each([
    ['a search model has a fee for each request', 'gpt-4o-search-preview', {}, 11 * 2500 + 7 * 10_000 + 25_000_000],
    ['however it is asked', 'gpt-4o-search-preview', { web_search_options: {} }, 11 * 2500 + 7 * 10_000 + 25_000_000],
    ['also a newer one', 'gpt-5-search-api', { web_search_options: {} }, 11 * 1250 + 7 * 10_000 + 10_000_000],
    [
      'any other one for each choice for which it may search',
      'gpt-5',
      { web_search_options: {}, n: 3 },
      11 * 1250 + 7 * 10_000 + 30_000_000,
    ],
    ['and none for what does not search', 'gpt-5', {}, 11 * 1250 + 7 * 10_000],
  ])('%s (%#)', async (_what, model, fields, cost) => {
    const proxy = await start({ budget: {}, channel: openai(model) });
    expect((await postChat(proxy.url, { ...body, ...fields })).status).toBe(200);
    expect(await spent(proxy)).toEqual([cost, 0]);
    expect(proxy.counters.admissions[0]?.money?.boundNanoUsd).toBeGreaterThanOrEqual(cost);
  });
});

it('an image that a Channel prices is served to a key with a budget, whatever the list knows of its model', async () => {
  const image: UpstreamHandler = (_request, response) => answerJson(response, { created: 1, data: [{ url: 'https://a.example' }] });
  const ask = async (channel: Given['channel'] & object): Promise<[TestProxy, number]> => {
    const proxy = await start({ budget: {}, answer: image, channel: { provider: 'OpenAI', ...channel } });
    const response = await fetch(`${proxy.url}/v1/images/generations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'dall-e-3', prompt: 'x' }),
    });
    return [proxy, response.status];
  };
  expect((await ask({ models: [{ name: 'dall-e-3' }] }))[1]).toBe(403);
  const [proxy, status] = await ask({ models: [{ name: 'dall-e-3', price: { image: 120_000_000 } }] });
  expect([status, await spent(proxy)]).toEqual([200, [120_000_000, 0]]);
});

describe('a budget', () => {
  it('is charged what the request has cost, and nothing stays reserved', async () => {
    const proxy = await start({ budget: {} });
    expect((await postChat(proxy.url, { ...chatBody, max_tokens: 100 })).status).toBe(200);
    expect(proxy.counters.admissions[0]?.money).toMatchObject({ boundNanoUsd: expect.any(Number) });
    expect(proxy.counters.admissions[0]?.money?.boundNanoUsd).toBeGreaterThan(100 * 10_000);
    expect(await spent(proxy)).toEqual([answerCost, 0]);
  });

  it('that does not hold what a request may cost refuses it, says so, and no SDK tries again', async () => {
    const proxy = await start({ budget: { limitNanoUsd: 1_170_000 } });
    expect((await postChat(proxy.url, { ...chatBody, max_tokens: 100 })).status).toBe(200);
    const response = await postChat(proxy.url, { ...chatBody, max_tokens: 100 });
    expect(response.status).toBe(429);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    const { error } = (await response.json()) as { error: { type: string; code: string; message: string } };
    expect(error).toMatchObject({ type: 'insufficient_quota', code: 'insufficient_quota' });
    expect(error.message).toMatch(
      /^The Monthly budget of this key is used up: of 0\.00117 USD 0\.001\d+ USD are left, and this request may cost 0\.001\d+ USD\. It renews in /,
    );
    expect(proxy.counters.settlements).toHaveLength(1);
    // a shorter answer fits
    expect((await postChat(proxy.url, { ...chatBody, max_tokens: 10 })).status).toBe(200);
  });

  it('that could not hold what a request may cost if nothing were spent tells no time to come back', async () => {
    const proxy = await start({ budget: { limitNanoUsd: 1_000_000 } });
    const response = await postChat(proxy.url, { ...chatBody, max_tokens: 100 });
    expect(response.status).toBe(429);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect([response.headers.get('retry-after'), response.headers.get('retry-after-ms')]).toEqual([null, null]);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect(error.code).toBe('insufficient_quota');
    expect(error.message).toMatch(/^This request may cost 0\.001\d+ USD, and the whole Monthly budget of this key is 0\.001 USD\./);
    expect(proxy.counters.settlements).toEqual([]);
  });

  it('is never spent beyond its limit by answers that are bounded, however many come at the same time', async () => {
    // each as long as it may be
    const whole = { ...chatAnswer, usage: { prompt_tokens: 11, completion_tokens: 100, total_tokens: 111 } };
    const proxy = await start({ budget: { limitNanoUsd: 10_000_000 }, answer: (_request, response) => answerJson(response, whole) });
    const calls = Array.from({ length: 50 }, async () => (await postChat(proxy.url, { ...chatBody, max_tokens: 100 })).status);
    expect(new Set(await Promise.all(calls))).toEqual(new Set([200, 429]));
    const [used, reserved] = (await spent(proxy)) as number[];
    expect(used).toBeLessThanOrEqual(10_000_000);
    expect(used).toBe(proxy.counters.settlements.length * (11 * 1000 + 100 * 10_000));
    expect(reserved).toBe(0);
  });

  it('in Shadow mode counts and reports, and refuses nothing', async () => {
    const proxy = await start({ budget: { limitNanoUsd: 1, mode: 'Shadow' } });
    expect((await postChat(proxy.url)).status).toBe(200);
    expect(await spent(proxy)).toEqual([answerCost, 0]);
    expect(await proxy.metrics.registry.metrics()).toContain('keywright_shadow_refusals_total{key="default/app",reason="budget"} 1');
  });

  it('is charged nothing for what no provider got', async () => {
    const proxy = await start({ budget: {}, channel: { baseUrl: 'http://127.0.0.1:9' } });
    expect((await postChat(proxy.url)).status).toBe(503);
    expect(await spent(proxy)).toEqual([0, 0]);
  });

  it('is charged the input of attempts that were given up', async () => {
    const timeouts = { connectMs: 1000, firstByteMs: 100, idleMs: 1000, totalMs: 5000 };
    const proxy = await start({ budget: {}, answer: () => {}, channel: { timeouts } });
    expect((await postChat(proxy.url)).status).toBe(504);
    const [used, reserved] = (await spent(proxy)) as number[];
    expect(used).toBeGreaterThan(0);
    expect(used).toBe(proxy.counters.admissions[0]?.money?.floorNanoUsd);
    expect(reserved).toBe(0);
  });

  it('is charged the input of an answer that nobody can read, since the provider gave it', async () => {
    const unreadable = (status: number) =>
      start({ budget: {}, answer: (_, response) => response.writeHead(status, { 'content-encoding': 'x-secret' }).end('?') });
    const answered = await unreadable(200);
    expect((await postChat(answered.url)).status).toBe(503);
    expect(await spent(answered)).toEqual([answered.counters.admissions[0]?.money?.floorNanoUsd, 0]);
    const failed = await unreadable(500);
    expect((await postChat(failed.url)).status).toBe(503);
    expect(await spent(failed)).toEqual([0, 0]);
  });

  it('is charged as a stream flows', async () => {
    const chunk = (text: string): string => `data: {"choices":[{"index":0,"delta":{"content":"${text}"}}]}\n\n`;
    const proxy = await start({
      budget: {},
      answer: (_request, response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).write(chunk('x'.repeat(8000))),
    });
    const controller = new AbortController();
    const response = await fetch(`${proxy.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ...chatBody, stream: true }),
      signal: controller.signal,
    });
    expect(response.status).toBe(200);
    // 2,000 tokens out while it still runs
    await untilHolds(async () => expect(((await spent(proxy)) as number[])[0]).toBeGreaterThanOrEqual(2000 * 10_000));
    expect(proxy.counters.settlements).toEqual([]);
    controller.abort();
    await untilHolds(async () => expect(((await spent(proxy)) as number[])[1]).toBe(0));
  });
});
