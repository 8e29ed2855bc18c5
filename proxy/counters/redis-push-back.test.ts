import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { openRedis } from '../../runtime/redis-open.ts';
import { runScript } from '../../runtime/redis-script.ts';
import { eventually } from '../../test/support/eventually.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { toSettleCall } from './scripts/afterwards.ts';
import type { Admission, LimitWindow } from './counters.ts';
import { makePushBack, type PushBack } from './outage/push-back.ts';
import { toAdmitCall, toDecisions } from './scripts/scripts.ts';

/** The clock of Redis, in these tests; an hour ahead, so that Redis removes nothing by its own. */
let nowMs: number;
let server: TestRedis;
let redis: Redis;
let nodes: ReturnType<typeof openRedis>;
let epoch: string;
let nextRequest = 0;

const minute = 60_000;
const rpm: LimitWindow = { name: 'rpm', unit: 'requests', span: 'minute', limit: 100, shadow: false };
const tpm: LimitWindow = { name: 'tpm', unit: 'tokens', span: 'minute', limit: 1_000, shadow: false };
const rpd: LimitWindow = { name: 'rpd', unit: 'requests', span: 'day', limit: 1_000, shadow: false };

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
  nodes = openRedis({ url: hide(server.url), name: 'test', log: makeLog({ level: 'silent', name: 'test' }), random: Math.random });
  await eventually(() => nodes.ready);
});
afterAll(async () => {
  nodes.close();
  redis.disconnect();
  await server.stop();
});
beforeEach(async () => {
  await redis.flushall();
  nowMs = Math.ceil((Date.now() + 3_600_000) / 2_000) * 2_000;
  epoch = 'first-life';
});
afterEach(async () => {
  for (const key of await redis.keys('*')) if ((await redis.pttl(key)) <= 0) throw new Error(`${key} would stay for ever`);
});

function makeProxy(name: string): PushBack {
  return makePushBack({ process: name, now: () => nowMs, readyFor: () => true, epochOf: () => epoch, clockText: () => String(nowMs) });
}

function request(windows: readonly LimitWindow[], rest: Partial<Admission> = {}): Admission {
  nextRequest += 1;
  const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
  return { requestId: `request-${nextRequest}`, keyId: 'team-a/app', bearer, windows, tokens: 0, holdMs: 30_000, ...rest };
}

function end(admission: Admission, tokens = 0): Parameters<PushBack['ended']>[0] {
  const { requestId, keyId, windows, concurrency } = admission;
  return { requestId, keyId, windows, tokens, concurrency: concurrency !== undefined, refundRequest: false };
}

async function admit(admission: Admission): Promise<{ used: readonly number[]; admitted: boolean }> {
  const [decision] = toDecisions(await runScript(nodes, toAdmitCall([admission], String(nowMs), '')), 1);
  if (decision === undefined || 'overruled' in decision || 'lost' in decision || 'moved' in decision) throw new Error('overruled');
  return decision;
}

/** As a proxy does when Redis let a request in, and the request ends at once. */
async function admitAtRedis(proxy: PushBack, windows: readonly LimitWindow[], count = 1): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    const admission = request(windows);
    expect((await admit(admission)).admitted).toBe(true);
    proxy.admitted(admission, { timeMs: nowMs, here: false });
    await runScript(nodes, toSettleCall(proxy.ended(end(admission)), String(nowMs)));
  }
}

function admitHere(proxy: PushBack, windows: readonly LimitWindow[], count = 1, tokens = 0): void {
  for (let number = 0; number < count; number += 1) {
    const admission = request(windows);
    proxy.admitted(admission, { timeMs: nowMs, here: true });
    expect(proxy.ended(end(admission, tokens))).toMatchObject({ windows: [], concurrency: false });
  }
}

async function tell(proxy: PushBack): Promise<void> {
  for (const call of proxy.take()) await runScript(nodes, call);
}

async function used(windows: readonly LimitWindow[]): Promise<readonly number[]> {
  // asked by what cannot be admitted
  const { used: sums } = await admit(request([...windows, { ...rpm, name: 'none', limit: 0 }]));
  return sums.slice(0, windows.length);
}

describe('what was decided while Redis was away', () => {
  it('is charged to the bucket of its time, and ages out with it', async () => {
    const proxy = makeProxy('a');
    admitHere(proxy, [rpm, rpd], 3);
    nowMs += 10_000;
    admitHere(proxy, [rpm, rpd], 2);
    nowMs += 1_000;
    await tell(proxy);
    expect(await used([rpm, rpd])).toEqual([5, 5]);
    nowMs += minute - 11_000;
    expect(await used([rpm])).toEqual([5]);
    nowMs += 1;
    expect(await used([rpm])).toEqual([2]);
    nowMs += 10_000;
    expect(await used([rpm, rpd])).toEqual([0, 5]);
  });

  it('is added to what Redis has, older and newer', async () => {
    const proxy = makeProxy('a');
    await admitAtRedis(proxy, [rpm], 4);
    nowMs += 5_000;
    admitHere(proxy, [rpm], 3);
    nowMs += 5_000;
    await admitAtRedis(proxy, [rpm], 2);
    await tell(proxy);
    expect(await used([rpm])).toEqual([9]);
    nowMs += 50_001;
    expect(await used([rpm])).toEqual([5]);
    nowMs += 5_000;
    expect(await used([rpm])).toEqual([2]);
  });

  it('is charged once, however often it is sent, and by each proxy for itself', async () => {
    const [first, second] = [makeProxy('a'), makeProxy('b')];
    admitHere(first, [rpm], 3);
    admitHere(second, [rpm], 4);
    const calls = [...first.take(), ...second.take()];
    for (const call of [...calls, ...calls]) await runScript(nodes, call);
    expect(await used([rpm])).toEqual([7]);
    // the same again is nothing new
    expect([...first.take(), ...second.take()]).toEqual([]);
    admitHere(first, [rpm], 1);
    await tell(first);
    expect(await used([rpm])).toEqual([8]);
  });

  it('counts true tokens when a request has ended, and goes nowhere when it is older than its window', async () => {
    const proxy = makeProxy('a');
    admitHere(proxy, [tpm, rpd], 2, 120);
    await tell(proxy);
    expect(await used([tpm, rpd])).toEqual([240, 2]);
    admitHere(proxy, [rpm], 5);
    nowMs += minute + 1;
    await tell(proxy);
    expect(await used([rpm, rpd])).toEqual([0, 2]);
  });

  it('takes running requests over with their slots and tokens, and their end settles them', async () => {
    const proxy = makeProxy('a');
    const running = request([rpm, tpm], { tokens: 300, concurrency: { limit: 1, shadow: false } });
    proxy.admitted(running, { timeMs: nowMs, here: true });
    expect(proxy.asKnown(running)).toBeUndefined();
    await tell(proxy);
    expect(await used([rpm, tpm])).toEqual([1, 300]);
    expect((await admit(request([], { concurrency: { limit: 1, shadow: false } }))).admitted).toBe(false);
    const settlement = proxy.ended(end(running, 80));
    expect(settlement.requestId).not.toBe(running.requestId);
    await runScript(nodes, toSettleCall(settlement, String(nowMs)));
    expect(await used([rpm, tpm])).toEqual([1, 80]);
    expect((await admit(request([], { concurrency: { limit: 1, shadow: false } }))).admitted).toBe(true);
    expect(proxy.take()).toEqual([]);
  });

  it('gives a request back that reached no provider', async () => {
    const proxy = makeProxy('a');
    const running = request([rpm]);
    proxy.admitted(running, { timeMs: nowMs, here: true });
    proxy.ended({ ...end(running), refundRequest: true });
    await tell(proxy);
    expect(await used([rpm])).toEqual([0]);
  });
});

describe('what Redis had decided', () => {
  it('is told to a Redis that has lost it, by each proxy its part', async () => {
    const [first, second] = [makeProxy('a'), makeProxy('b')];
    await admitAtRedis(first, [rpm, rpd], 5);
    await admitAtRedis(second, [rpm, rpd], 7);
    admitHere(second, [rpm, rpd], 2);
    await redis.flushall();
    epoch = 'second-life';
    await tell(first);
    expect(await used([rpm, rpd])).toEqual([5, 5]);
    await tell(second);
    expect(await used([rpm, rpd])).toEqual([14, 14]);
    // not again in the same life, and in the next one nothing more than is missing
    await tell(first);
    epoch = 'third-life';
    await tell(first);
    await tell(second);
    expect(await used([rpm, rpd])).toEqual([14, 14]);
  });

  it('is charged to nobody twice where Redis has kept it', async () => {
    const [first, second] = [makeProxy('a'), makeProxy('b')];
    await admitAtRedis(first, [rpm, rpd], 5);
    await admitAtRedis(second, [rpm, rpd], 7);
    epoch = 'second-life';
    await tell(second);
    await tell(first);
    expect(await used([rpm, rpd])).toEqual([12, 12]);
  });

  it('is completed where a promoted replica lacks the last of it', async () => {
    const [first, second] = [makeProxy('a'), makeProxy('b')];
    await admitAtRedis(first, [rpd], 5);
    await admitAtRedis(second, [rpd], 7);
    const names = await redis.keys('*:day:*');
    const replica = await Promise.all(names.map(async (name) => [name, await redis.dumpBuffer(name), await redis.pttl(name)] as const));
    await admitAtRedis(first, [rpd], 2);
    await admitAtRedis(second, [rpd], 1);
    await redis.flushall();
    for (const [name, value, ttl] of replica) if (value !== null) await redis.restore(name, ttl, value);
    expect(await used([rpd])).toEqual([12]);
    epoch = 'promoted';
    await tell(first);
    await tell(second);
    expect(await used([rpd])).toEqual([15]);
  });

  it('holds running requests again, and changes nothing where they are still known', async () => {
    const proxy = makeProxy('a');
    const running = request([rpm, tpm], { tokens: 300, concurrency: { limit: 2, shadow: false } });
    await admit(running);
    proxy.admitted(running, { timeMs: nowMs, here: false });
    epoch = 'restarted with its memory';
    await tell(proxy);
    expect(await used([rpm, tpm])).toEqual([1, 300]);
    await redis.flushall();
    epoch = 'restarted without';
    await tell(proxy);
    expect(await used([rpm, tpm])).toEqual([1, 300]);
    expect(await redis.zcard((await redis.keys('*:slots:*'))[0] ?? '')).toBe(1);
    await runScript(nodes, toSettleCall(proxy.ended(end(running, 50)), String(nowMs)));
    expect(await used([rpm, tpm])).toEqual([1, 50]);
  });

  it('holds running requests once more that were let in while it was away, when it loses them again', async () => {
    const proxy = makeProxy('a');
    const running = request([rpm, tpm], { tokens: 300, concurrency: { limit: 1, shadow: false } });
    proxy.admitted(running, { timeMs: nowMs, here: true });
    await tell(proxy);
    await redis.flushall();
    epoch = 'second-life';
    await tell(proxy);
    expect(await used([rpm, tpm])).toEqual([1, 300]);
    expect((await admit(request([], { concurrency: { limit: 1, shadow: false } }))).admitted).toBe(false);
    await runScript(nodes, toSettleCall(proxy.ended(end(running, 80)), String(nowMs)));
    expect(await used([rpm, tpm])).toEqual([1, 80]);
    expect((await admit(request([], { concurrency: { limit: 1, shadow: false } }))).admitted).toBe(true);
  });
});

it('forgets what counts no more', async () => {
  const proxy = makeProxy('a');
  await admitAtRedis(proxy, [rpm], 3);
  nowMs += 2 * minute;
  await sleep(0);
  epoch = 'second-life';
  expect(proxy.take()).toEqual([]);
});
