import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { tagOf } from '../../core/hash-tag.ts';
import { makeAdmission, useCountersProxies } from '../../test/support/counters-proxies.ts';
import { eventually } from '../../test/support/eventually.ts';
import { useRedis } from '../../test/support/use-redis.ts';
import type { LimitWindow } from './counters.ts';
import type { SharedCounters } from './shared-counters.ts';

/** Redis loses everything, and nothing else happens to it: the same process, connection and replication id. */
const limit = 60;
const rpm: LimitWindow = { name: 'rpm', unit: 'requests', span: 'minute', limit, shadow: false };
const rpd: LimitWindow = { name: 'rpd', unit: 'requests', span: 'day', limit: 1_000, shadow: false };
const tpm: LimitWindow = { name: 'tpm', unit: 'tokens', span: 'minute', limit: 1_000, shadow: false };
const none: LimitWindow = { ...rpm, name: 'none', limit: 0 };
const keyId = 'team-a/app';
const life = `kw:{${tagOf(keyId)}}:life`;

const server = useRedis();
const proxyPool = useCountersProxies(() => ({ url: server.url, replicas: 3 }));

async function startProxy(): Promise<SharedCounters> {
  const { counters } = await proxyPool.start();
  return counters;
}

async function admit(counters: SharedCounters, windows: readonly LimitWindow[], count: number): Promise<void> {
  for (let number = 0; number < count; number += 1)
    expect(await counters.admit(makeAdmission(windows))).toMatchObject({ outcome: 'admitted', degraded: false });
}

/** Asked by what cannot be admitted. */
async function used(counters: SharedCounters, windows: readonly LimitWindow[]): Promise<number[]> {
  const answer = await counters.admit(makeAdmission([...windows, none]));
  expect(answer).toMatchObject({ outcome: 'refused', degraded: false });
  return 'windows' in answer ? answer.windows.slice(0, -1).map((state) => state.limit - state.remaining) : [];
}

/** The life that all of them know must be there before it is lost. */
async function untilKnown(): Promise<void> {
  await eventually(async () => (await server.cli('EXISTS', life)) === 1);
  await sleep(100);
}

describe('a Redis that is emptied without a restart', () => {
  it('is told by every proxy what it had let in, also by those that are idle, before anything is decided anew', async () => {
    const [first, second, third] = await Promise.all([startProxy(), startProxy(), startProxy()]);
    await admit(first, [rpm, rpd], 30);
    await admit(second, [rpm, rpd], 20);
    await admit(third, [rpm, rpd], 10);
    await untilKnown();
    for (let time = 0; time < 2; time += 1) {
      await server.cli('FLUSHALL');
      // the one that asks had let in a half: the others have no reason of their own to ask Redis for anything
      expect(await used(first, [rpm, rpd])).toEqual([60, 60]);
      expect(await used(second, [rpm, rpd])).toEqual([60, 60]);
    }
  });

  it('tells who only looks what was let in, and not that nothing was', async () => {
    const [first, second] = await Promise.all([startProxy(), startProxy()]);
    await admit(first, [rpm, rpd], 30);
    await admit(second, [rpm, rpd], 20);
    await untilKnown();
    await server.cli('FLUSHALL');
    const answer = await first.peek({ keyId, windows: [rpm, rpd] });
    expect(answer).toMatchObject({ outcome: 'known', degraded: false, windows: [{ used: 50 }, { used: 50 }] });
  });

  it('lets in not one request more than the limit under load, however often it happens', async () => {
    const proxies = await Promise.all([startProxy(), startProxy(), startProxy()]);
    for (const proxy of proxies) await admit(proxy, [rpm], 1);
    await untilKnown();
    let admitted = proxies.length;
    let ended = false;
    const load = proxies.map(async (proxy) => {
      while (!ended) {
        const { outcome } = await proxy.admit(makeAdmission([rpm]));
        expect(['admitted', 'refused']).toContain(outcome);
        if (outcome === 'admitted') admitted += 1;
        await sleep(1);
      }
    });
    for (let time = 0; time < 3; time += 1) {
      await sleep(30);
      await server.cli('FLUSHALL');
      await sleep(900);
    }
    ended = true;
    await Promise.all(load);
    expect(admitted).toBe(limit);
  });

  it('holds running requests again with their slots and tokens, and their end settles them', async () => {
    const [first, second] = await Promise.all([startProxy(), startProxy()]);
    const concurrency = { limit: 1, shadow: false };
    const running = makeAdmission([rpm, tpm], { tokens: 300, concurrency });
    expect(await first.admit(running)).toMatchObject({ outcome: 'admitted' });
    await admit(second, [rpm], 1);
    await untilKnown();
    await server.cli('FLUSHALL');
    expect(await used(second, [rpm, tpm])).toEqual([2, 300]);
    expect(await second.admit(makeAdmission([], { concurrency }))).toMatchObject({ outcome: 'refused', limitName: 'concurrency' });
    first.settle({ requestId: running.requestId, keyId, windows: [rpm, tpm], tokens: 80, concurrency: true, refundRequest: false });
    await first.flush();
    expect(await used(second, [rpm, tpm])).toEqual([2, 80]);
    expect(await second.admit(makeAdmission([], { concurrency }))).toMatchObject({ outcome: 'admitted' });
  });

  it('that has lost only the name of its life is charged nothing twice', async () => {
    const [first, second] = await Promise.all([startProxy(), startProxy()]);
    await admit(first, [rpm, rpd], 5);
    await admit(second, [rpm, rpd], 7);
    await untilKnown();
    await server.cli('DEL', life);
    expect(await used(second, [rpm, rpd])).toEqual([12, 12]);
    expect(await used(first, [rpm, rpd])).toEqual([12, 12]);
  });
});
