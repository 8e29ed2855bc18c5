import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { makeAdmission, settleAdmission, useCountersProxies } from '../../test/support/counters-proxies.ts';
import { eventually } from '../../test/support/eventually.ts';
import { startRelay } from '../../test/support/relay.ts';
import { useRedis } from '../../test/support/use-redis.ts';
import type { AdmitAnswer, LimitWindow } from './counters.ts';
import type { RedisCountersOptions } from './redis.ts';
import type { SharedCounters } from './shared-counters.ts';

/** Outages of seconds on windows of a minute: nothing that is charged in a test ages out in it. */
const rpm = (limit: number): LimitWindow => ({ name: 'rpm', unit: 'requests', span: 'minute', limit, shadow: false });
const tpm = (limit: number): LimitWindow => ({ name: 'tpm', unit: 'tokens', span: 'minute', limit, shadow: false });

const limit = 30;
const replicas = 3;

const server = useRedis();
const proxyPool = useCountersProxies(() => ({ url: server.url, replicas }));

async function startProxy(options: Partial<RedisCountersOptions> = {}): Promise<SharedCounters> {
  const { counters } = await proxyPool.start(options);
  return counters;
}

/** Asks until it is refused; gives how often it was not. The requests end at once. */
async function saturate(counters: SharedCounters, most = 1_000): Promise<number> {
  for (let admitted = 0; admitted < most; admitted += 1) {
    const admission = makeAdmission([rpm(limit)]);
    const { outcome } = await counters.admit(admission);
    if (outcome === 'refused') return admitted;
    expect(outcome).toBe('admitted');
    settleAdmission(counters, admission, 0);
  }
  return most;
}

async function saturateAll(proxies: readonly SharedCounters[]): Promise<number> {
  const admitted = await Promise.all(proxies.map((counters) => saturate(counters)));
  return admitted.reduce((sum, count) => sum + count, 0);
}

async function untilAll(proxies: readonly SharedCounters[], degraded: boolean): Promise<void> {
  await eventually(() => proxies.every((counters) => counters.degraded === degraded));
}

async function used(counters: SharedCounters, windows: readonly LimitWindow[]): Promise<number[]> {
  const answer: AdmitAnswer = await counters.admit(makeAdmission([...windows, { ...rpm(0), name: 'none' }]));
  expect(answer).toMatchObject({ outcome: 'refused', degraded: false });
  const states = 'windows' in answer ? answer.windows.slice(0, -1) : [];
  return states.map((state) => state.limit - state.remaining);
}

describe('an outage of Redis', () => {
  it('lets in at most 2 × the limit across its edges, wherever the clients were before, also when Redis comes back empty', async () => {
    const proxies = await Promise.all([startProxy(), startProxy(), startProxy()]);
    const [first] = proxies;
    // all of it through one proxy: the share of the others is whole
    let admitted = await saturate(first);
    expect(admitted).toBe(limit);
    await server.kill();
    await untilAll(proxies, true);
    admitted += await saturateAll(proxies);
    expect(admitted).toBe(limit + 2 * (limit / replicas));
    await server.start();
    await untilAll(proxies, false);
    // all of them tell the empty one what they had, so it has room for nothing more
    expect(await saturateAll(proxies)).toBe(0);
    expect(admitted).toBeLessThanOrEqual(2 * limit);
  });

  it('lets in limit × (living + restarted) / N + N at most while it lasts', async () => {
    await server.kill();
    try {
      const proxies = await Promise.all([startProxy(), startProxy(), startProxy()]);
      let admitted = await saturateAll(proxies);
      const restarted = await startProxy();
      admitted += await saturate(restarted);
      expect(admitted).toBeGreaterThanOrEqual(limit);
      expect(admitted).toBeLessThanOrEqual((limit * (3 + 1)) / replicas + replicas);
    } finally {
      await server.start();
    }
  });

  it('is made up for when Redis is back: it counts what was decided without it, each request once', async () => {
    const proxies = await Promise.all([startProxy({ deadlineMs: 250 }), startProxy({ deadlineMs: 250 })]);
    await saturate(proxies[0], 4);
    await server.pause();
    // these wait for an answer that comes too late
    const late = await Promise.all(proxies.map((counters) => saturate(counters, 3)));
    await server.resume();
    await untilAll(proxies, false);
    expect(late).toEqual([3, 3]);
    await eventually(async () => {
      await Promise.all(proxies.map((counters) => counters.flush()));
      const [count] = await used(proxies[0], [rpm(limit)]);
      return count === 10;
    });
  });

  it('is survived by running requests: slot and tokens are held again and settled', async () => {
    const counters = await startProxy({ replicas: 1 });
    const two = { limit: 2, shadow: false };
    const before = makeAdmission([tpm(1_000)], { tokens: 200, concurrency: two });
    await counters.admit(before);
    await server.kill();
    await eventually(() => counters.degraded);
    const during = makeAdmission([tpm(1_000)], { tokens: 300, concurrency: two });
    expect(await counters.admit(during)).toMatchObject({ outcome: 'admitted', degraded: true });
    await server.start();
    await eventually(() => !counters.degraded);
    expect(await counters.admit(makeAdmission([], { concurrency: two }))).toMatchObject({
      outcome: 'refused',
      limitName: 'concurrency',
      degraded: false,
    });
    expect(await used(counters, [tpm(1_000)])).toEqual([500]);
    settleAdmission(counters, before, 20);
    settleAdmission(counters, during, 30);
    await counters.flush();
    expect(await used(counters, [tpm(1_000)])).toEqual([50]);
    expect(await counters.admit(makeAdmission([], { concurrency: two }))).toMatchObject({ outcome: 'admitted' });
  });

  it('may lose replies: what Redis decided and nobody heard of is not charged, what was decided instead is', async () => {
    const { hostname, port } = new URL(server.url);
    const relay = await startRelay(hostname, Number(port));
    onTestFinished(() => relay.close());
    const counters = await startProxy({ url: `redis://127.0.0.1:${relay.port}`, deadlineMs: 250 });
    await saturate(counters, 2);
    relay.loseReplies();
    expect(await saturate(counters, 5)).toBe(5);
    await relay.cut();
    await relay.restore();
    await eventually(() => !counters.degraded);
    await eventually(async () => {
      await counters.flush();
      const [count] = await used(counters, [rpm(limit)]);
      return count === 7;
    });
  });

  it('goes by no clock of the pod: steps of it neither free a share nor close it', async () => {
    let stepMs = 0;
    const counters = await startProxy({ now: () => Date.now() + stepMs });
    expect(await saturate(counters, 4)).toBe(4);
    await server.kill();
    try {
      await eventually(() => counters.degraded);
      stepMs = 3_600_000;
      expect(await saturate(counters)).toBe(limit / replicas - 4);
      stepMs = -3_600_000;
      await sleep(5);
      expect(await saturate(counters)).toBe(0);
    } finally {
      await server.start();
    }
  });

  it('is decided by nobody under Open, and counted when Redis is back', async () => {
    const counters = await startProxy({ failurePolicy: 'Open' });
    await server.kill();
    await eventually(() => counters.degraded);
    expect(await saturate(counters, 2 * limit)).toBe(2 * limit);
    await server.start();
    await eventually(() => !counters.degraded);
    expect(await used(counters, [rpm(10 * limit)])).toEqual([2 * limit]);
    expect(await saturate(counters)).toBe(0);
  });
});
