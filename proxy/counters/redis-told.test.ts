import { afterEach, expect, it } from 'vitest';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { readStored } from '../../test/support/counters-dump.ts';
import { eventually } from '../../test/support/eventually.ts';
import { startRedis } from '../../test/support/redis.ts';
import { startRelay } from '../../test/support/relay.ts';
import { Redis } from 'ioredis';
import { tagOf } from '../../core/hash-tag.ts';
import { usageStreamKey } from '../../core/usage-stream.ts';
import type { Admission, LimitWindow } from './counters.ts';
import { makeRedisCounters } from './redis.ts';

const keyId = 'team/app';
const windows: readonly LimitWindow[] = [
  { name: 'rpd', unit: 'requests', span: 'day', limit: 100, shadow: false },
  { name: 'tpd', unit: 'tokens', span: 'day', limit: 100_000, shadow: false },
];
let ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

async function start() {
  const server = await startRedis();
  const { hostname, port } = new URL(server.url);
  const relay = await startRelay(hostname, Number(port));
  const redis = new Redis(server.url);
  await redis.flushall();
  const metrics = makeMetrics();
  const log = makeLog({ level: 'silent', name: 'test' });
  const counters = makeRedisCounters({
    url: `redis://127.0.0.1:${relay.port}`,
    log,
    metrics,
    replicas: 1,
    now: Date.now,
    deadlineMs: 5_000,
  });
  await counters.ready(5_000);
  ends.push(
    () => server.stop(),
    () => redis.disconnect(),
    () => relay.close(),
    () => metrics.close(),
    () => counters.close(),
  );
  const depth = async (): Promise<number> => {
    const found = (await metrics.registry.getMetricsAsJSON()).find(({ name }) => name.endsWith('settle_queue_depth'));
    return found?.values[0]?.value ?? Number.NaN;
  };
  return { counters, relay, redis, depth };
}

it('what was told when the reply was lost is told again as it was, counts once, and its events stand once', async () => {
  const { counters, relay, redis, depth } = await start();
  const admissions = ['r0', 'r1', 'r2', 'r3'].map((requestId): Admission => ({ requestId, keyId, windows, tokens: 100, holdMs: 30_000 }));
  for (const admission of admissions) expect(await counters.admit(admission)).toMatchObject({ outcome: 'admitted', degraded: false });
  const settle = ({ requestId }: Admission, tokens: number): void => {
    const usage = { inputTokens: tokens, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 0, reasoningTokens: 0 };
    const event = { requestId, keyId, status: 200, usage, costNanoUsd: 0, durationMs: 1 };
    counters.settle({ requestId, keyId, windows, tokens, concurrency: false, refundRequest: false, event });
  };
  const events = (): Promise<number> => redis.xlen(usageStreamKey(tagOf(keyId)));
  const [before, first, second, third] = admissions as [Admission, Admission, Admission, Admission];
  settle(before, 1);
  await counters.flush();
  relay.loseReplies();
  settle(first, 10);
  settle(second, 20);
  await eventually(async () => (await events()) === 3);
  settle(third, 30);
  await relay.cut();
  await relay.restore();
  await eventually(async () => (await depth()) === 0 && (await events()) >= 4);
  expect(await events()).toBe(4);
  expect((await readStored(redis)).sums).toEqual({ 'day:team/app:rpd': 4, 'day:team/app:tpd': 61 });
});
