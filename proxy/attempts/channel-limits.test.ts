import { afterEach, describe, expect, it } from 'vitest';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { chatAnswer, postChat } from '../../test/support/chat.ts';
import { makeChannelRecord, makeKeyRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../../test/support/test-proxy.ts';
import { answerJson, startUpstream, type TestUpstream, type UpstreamHandler } from '../../test/support/test-upstream.ts';
import { untilHolds } from '../../test/support/eventually.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const answering: UpstreamHandler = (_request, response) => answerJson(response, chatAnswer);

/** Two channels, the second only for what the first does not take; `limits` by channel. */
async function start(
  limits: readonly ChannelRecord['limits'][],
  answer: UpstreamHandler = answering,
): Promise<{ proxy: TestProxy; upstream: TestUpstream }> {
  const upstream = await startUpstream(answer);
  ends.push(() => upstream.close());
  const channels = limits.map((each, index) =>
    makeChannelRecord(`${upstream.url}/${index}`, {
      id: `default/channel-${index}`,
      priority: index,
      retries: { attempts: 1, on: ['Reset', 'ServerError'] },
      ...(each === undefined ? {} : { limits: each }),
    }),
  );
  const proxy = await startTestProxy({ channels, keys: [makeKeyRecord({ limits: { rpm: 100 } })] });
  ends.push(() => proxy.stop());
  return { proxy, upstream };
}

const channelOf = async (proxy: TestProxy): Promise<string | null> => (await postChat(proxy.url)).headers.get('x-keywright-channel');
const ofChannels = <T extends { readonly subject?: 'channel' }>(list: readonly T[]): T[] =>
  list.filter(({ subject }) => subject === 'channel');

describe('a full Channel', () => {
  it('is passed over, and is no attempt', async () => {
    const { proxy } = await start([{ rpm: 1 }, undefined]);
    expect(await channelOf(proxy)).toBe('default/channel-0');
    expect(await channelOf(proxy)).toBe('default/channel-1');
    expect(proxy.accessLines().map((line) => line['attempts'])).toEqual([1, 1]);
  });

  it('beside full ones only is told as a limit of the providers, with the least wait, and the key gets its request back', async () => {
    const { proxy, upstream } = await start([{ rpm: 1 }, { concurrency: 0 }]);
    await postChat(proxy.url);
    const response = await postChat(proxy.url);
    expect([response.status, await response.json()]).toMatchObject([429, { error: { code: 'upstream_rate_limited' } }]);
    // the slot may be free within a second, the minute is not
    expect(Number(response.headers.get('retry-after-ms'))).toBeLessThanOrEqual(1000);
    expect(response.headers.get('x-should-retry')).toBeNull();
    expect(upstream.requests).toHaveLength(1);
    const ofKey = proxy.counters.settlements.filter(({ subject }) => subject === undefined);
    expect(ofKey.map(({ refundRequest }) => refundRequest)).toEqual([false, true]);
  });

  it('by tokens counts those that were used', async () => {
    const { proxy } = await start([{ tpm: 36 }, undefined]);
    // 18 each: what the second reserves is capped at the limit, and does not fit beside the first
    expect([await channelOf(proxy), await channelOf(proxy)]).toEqual(['default/channel-0', 'default/channel-1']);
    expect(ofChannels(proxy.counters.settlements).map(({ tokens, refundRequest }) => [tokens, refundRequest])).toEqual([[18, false]]);
  });
});

describe('a place in a Channel', () => {
  it.each<[string, UpstreamHandler, number]>([
    ['an answer', answering, 200],
    ['an error of the provider', (_request, response) => answerJson(response, {}, 500), 503],
    ['a lost connection', (_request, response) => void response.destroy(), 503],
    ['a fault of the request', (_request, response) => answerJson(response, { error: {} }, 400), 400],
  ])('is free again after %s', async (_what, answer, status) => {
    const { proxy } = await start([{ concurrency: 1 }], answer);
    for (let time = 0; time < 3; time += 1) expect((await postChat(proxy.url)).status).toBe(status);
    expect(ofChannels(proxy.counters.settlements).length).toBe(ofChannels(proxy.counters.admissions).length);
  });

  it('is counted for each attempt', async () => {
    const { proxy, upstream } = await start([{ rpm: 100 }], (_request, response, number) =>
      number === 1 ? answerJson(response, {}, 500) : answerJson(response, chatAnswer),
    );
    expect((await postChat(proxy.url)).status).toBe(200);
    expect(upstream.requests).toHaveLength(2);
    expect(ofChannels(proxy.counters.settlements).map(({ tokens }) => tokens)).toEqual([0, 18]);
    expect(new Set(ofChannels(proxy.counters.admissions).map(({ requestId }) => requestId)).size).toBe(2);
  });

  it('is given back as a whole when nothing could be sent', async () => {
    const { proxy, upstream } = await start([{ rpm: 1 }]);
    await upstream.close();
    expect([(await postChat(proxy.url)).status, (await postChat(proxy.url)).status]).toEqual([503, 503]);
    expect(ofChannels(proxy.counters.settlements).every(({ refundRequest }) => refundRequest)).toBe(true);
  });

  it('is kept while a stream runs, and free when its client hangs up', async () => {
    const { proxy } = await start([{ concurrency: 1 }], (_request, response) =>
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"choices":[{"delta":{"content":"x"}}]}\n\n'),
    );
    const running = await postChat(proxy.url, { model: 'gpt-4o-mini', messages: [], stream: true });
    expect(running.status).toBe(200);
    expect((await postChat(proxy.url)).status).toBe(429);
    await running.body?.cancel();
    await untilHolds(() => expect(ofChannels(proxy.counters.settlements)).toHaveLength(1));
  });
});

it('nobody is let into a limited Channel while its limits cannot be asked for', async () => {
  const { proxy, upstream } = await start([{ rpm: 1 }]);
  const admit = proxy.counters.admit.bind(proxy.counters);
  proxy.counters.admit = async (admission) => (admission.subject === 'channel' ? { outcome: 'unavailable' } : admit(admission));
  const response = await postChat(proxy.url);
  expect([response.status, await response.json()]).toMatchObject([503, { error: { code: 'limiter_unavailable' } }]);
  expect(upstream.requests).toHaveLength(0);
});
