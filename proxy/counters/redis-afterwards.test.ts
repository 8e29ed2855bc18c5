import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { openRedis } from '../../runtime/redis-open.ts';
import { runScript } from '../../runtime/redis-script.ts';
import { readStored } from '../../test/support/counters-dump.ts';
import { eventually } from '../../test/support/eventually.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { type Afterwards, toAfterwardsCall, toSpent } from './scripts/afterwards.ts';
import { anyEpoch, toOpenBudgetsCall } from './scripts/budget-scripts.ts';
import type { Admission, LimitWindow, Settlement } from './counters.ts';
import { toAdmitCall, toDecisions } from './scripts/scripts.ts';

/** The clock of Redis, an hour ahead, so that Redis removes nothing by its own. */
let nowMs: number;
let server: TestRedis;
let redis: Redis;
let nodes: ReturnType<typeof openRedis>;
let calls = 0;

const window = (name: string, rest: Partial<LimitWindow> = {}): LimitWindow => ({
  name,
  unit: name.startsWith('r') ? 'requests' : 'tokens',
  span: name.includes('pd') ? 'day' : 'minute',
  limit: 100_000,
  shadow: false,
  ...rest,
});
const windows = [window('rpm'), window('tpm'), window('rpd'), window('tpd')];
const budgets = [
  { period: 'Daily', limitNanoUsd: 1_000_000, shadow: false },
  { period: 'Total', limitNanoUsd: 1_000_000, shadow: false },
] as const;

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
  await empty();
  nowMs = Math.ceil((Date.now() + 3_600_000) / 900_000) * 900_000;
});

function request(requestId: string, rest: Partial<Admission> = {}): Admission {
  const money = { budgets, boundNanoUsd: 100, floorNanoUsd: 10 };
  return { requestId, keyId: 'team/app', windows, tokens: 20, holdMs: 30_000, money, ...rest };
}

function end(admission: Admission, tokens: number, rest: Partial<Settlement> = {}): Afterwards {
  const { requestId, keyId, concurrency } = admission;
  const event = { requestId, keyId, status: 200, usage: {}, costNanoUsd: tokens, durationMs: 1 } as unknown as NonNullable<
    Settlement['event']
  >;
  const money = admission.money && { budgets, costNanoUsd: tokens };
  const settlement = {
    requestId,
    keyId,
    windows: admission.windows,
    tokens,
    concurrency: concurrency !== undefined,
    refundRequest: false,
    event,
  };
  return { what: 'settle', settlement: { ...settlement, ...(money && { money }), ...rest } };
}

const spend = (admission: Admission, leaseId = 'lease:1'): Afterwards => ({ what: 'spend', admission, leaseId });
const renew = (admission: Admission, tokens: number): Afterwards => ({
  what: 'renew',
  admission,
  flowed: { tokens, costNanoUsd: tokens },
});

/** Nothing is stored but that budgets are open. */
async function empty(): Promise<void> {
  await redis.flushall();
  for (const keyId of ['team/app', 'team/other']) await runScript(nodes, toOpenBudgetsCall(keyId, 'life'));
}

async function admit(...admissions: Admission[]): Promise<void> {
  await runScript(nodes, toAdmitCall(admissions, String(nowMs), anyEpoch));
}

async function ask(admission: Admission): Promise<boolean> {
  const [decision] = toDecisions(await runScript(nodes, toAdmitCall([admission], String(nowMs), anyEpoch)), 1);
  return decision !== undefined && 'admitted' in decision && decision.admitted;
}

async function tell(...items: Afterwards[]): Promise<unknown> {
  calls += 1;
  return runScript(nodes, toAfterwardsCall(items, { clock: String(nowMs), name: `test:${calls}` }));
}

async function oneByOne(items: readonly Afterwards[]): Promise<void> {
  for (const item of items) await runScript(nodes, toAfterwardsCall([item], { clock: String(nowMs) }));
}

/** Books `count` requests like this one; gives what ends that with so many unspent. */
async function lease(count: number, like: Admission, leaseId = 'lease:1'): Promise<(unspentRequests: number) => Afterwards> {
  const { money, concurrency: _, ...rest } = like;
  const booked = money && { ...money, boundNanoUsd: count * money.boundNanoUsd, floorNanoUsd: count * money.floorNanoUsd };
  const admission: Admission = {
    ...rest,
    requestId: leaseId,
    tokens: count * like.tokens,
    ...(booked && { money: booked }),
    lease: { requests: count, forMs: 250 },
  };
  await admit(admission);
  return (unspentRequests) => ({ what: 'end', admission, unspentRequests });
}

const state = () => readStored(redis);
const eventsOf = async (): Promise<number> => {
  const streams = (await redis.keys('*:usage*')).concat(await redis.keys('*usage'));
  const lengths = await Promise.all([...new Set(streams)].map((key) => redis.xlen(key)));
  return lengths.reduce((sum, length) => sum + length, 0);
};

const step = fc.record({
  gap: fc.constantFrom(0, 1, 700, 5_000, 31_000, 61_000),
  admitted: fc.nat({ max: 4 }),
  told: fc.array(
    fc.record({
      which: fc.nat({ max: 40 }),
      what: fc.constantFrom('settle', 'settle', 'renew', 'release', 'spend'),
      tokens: fc.nat({ max: 60 }),
    }),
    { maxLength: 12 },
  ),
});

describe('what is told together', () => {
  it('leaves what it leaves one by one', async () => {
    const play = async (steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[], together: boolean) => {
      await empty();
      const from = nowMs;
      const admitted: Admission[] = [];
      for (const { gap, admitted: count, told } of steps) {
        nowMs += gap;
        for (let number = 0; number < count; number += 1) {
          const slots = number % 2 === 0 ? { concurrency: { limit: 9, shadow: true } } : {};
          const admission = request(`r${admitted.length}`, {
            keyId: number > 2 ? 'team/other' : 'team/app',
            windows: windows.slice(number % 3),
            ...slots,
          });
          admitted.push(admission);
          if (number % 3 < 2) await admit(admission);
          else if (number === 2) await lease(2, admission, `lease:${admission.requestId}`);
        }
        const items = told.flatMap(({ which, what, tokens }): Afterwards[] => {
          const admission = admitted[which % Math.max(1, admitted.length)];
          if (admission === undefined) return [];
          if (what === 'renew') return [renew(admission, tokens)];
          if (what === 'spend') return [spend(admission, `lease:${admission.requestId}`)];
          return [end(admission, tokens, what === 'release' ? { refundRequest: true } : {})];
        });
        if (together && items.length > 0) await tell(...items);
        else if (!together) await oneByOne(items);
      }
      const left = { state: await state(), events: await eventsOf() };
      nowMs = from;
      return left;
    };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
        expect(await play(steps, true)).toEqual(await play(steps, false));
      }),
      { numRuns: 60 },
    );
  });

  it('counts once when the call is sent again, though the first was done: no charge and no event twice', async () => {
    const [first, second] = [request('r1'), request('r2')];
    await admit(first);
    await lease(3, second);
    const items = [renew(first, 5), end(first, 30), spend(second), end(second, 40)];
    const call = toAfterwardsCall(items, { clock: String(nowMs), name: 'lost' });
    expect(toSpent(await runScript(nodes, call)).map(([keyId]) => keyId)).toEqual(['team/app']);
    const once = await state();
    expect(await eventsOf()).toBe(2);
    expect(await runScript(nodes, call)).toEqual([]);
    expect(await state()).toEqual(once);
    expect(await eventsOf()).toBe(2);
  });

  it('tells what each key has spent', async () => {
    const [first, other] = [request('r1'), request('r2', { keyId: 'team/other' })];
    await admit(first, other);
    const spent = new Map(toSpent(await tell(end(first, 30), end(other, 40))));
    expect([...spent.keys()]).toEqual(['team/app', 'team/other']);
    expect(await redis.keys('*:request:*')).toEqual([]);
  });
});

describe('what is admitted out of a lease', () => {
  const [first, second, third] = [request('r0'), request('r1'), request('r2')];
  const admissions = [first, second, third];
  const sums = async () => (await state()).sums;

  it('leaves, when the lease is closed, what the same requests leave that were asked for one by one', async () => {
    await admit(...admissions);
    await tell(end(first, 15));
    const expected = await sums();
    await empty();
    const close = await lease(5, first);
    await tell(...admissions.map((admission) => spend(admission)), end(first, 15));
    expect(await sums()).not.toEqual(expected);
    await tell(close(2));
    expect(await sums()).toEqual(expected);
  });

  it('gives back no more requests than the proxy says, whatever of them it was told', async () => {
    const close = await lease(5, first);
    // the other of two has not arrived
    await tell(spend(first), end(first, 15));
    await tell(close(3));
    expect((await sums())['minute:team/app:rpm']).toBe(2);
    await tell(spend(second), end(second, 15));
    expect((await sums())['minute:team/app:rpm']).toBe(2);
  });

  it('counts a whole span from the last moment at which it could be spent', async () => {
    nowMs = Math.ceil(nowMs / 2_000) * 2_000 + 500;
    const windows = [{ name: 'rpm', unit: 'requests', span: 'minute', limit: 5, shadow: false }] as const;
    const one: Admission = { ...first, windows, tokens: 0, requestId: 'lease:2', lease: { requests: 5, forMs: 250 } };
    const { money: _, concurrency: __, ...booking } = one;
    await admit(booking);
    const { lease: ___, ...next } = booking;
    nowMs += 60_250;
    expect(await ask({ ...next, requestId: 'early' })).toBe(false);
    nowMs += 1;
    expect(await ask({ ...next, requestId: 'in time' })).toBe(true);
  });

  it('holds of a window no more than before: the lease gives what the request takes', async () => {
    await lease(5, first);
    const booked = await sums();
    await tell(spend(first), spend(second));
    expect(await sums()).toEqual(booked);
    await tell(spend(first), spend(second));
    expect(await sums()).toEqual(booked);
  });

  it('leaves the same, spent and settled in one call or in two', async () => {
    const play = async (...batches: Afterwards[][]) => {
      await empty();
      const close = await lease(5, first);
      for (const batch of batches) await tell(...batch);
      await tell(close(4));
      return state();
    };
    const settled = end(first, 33);
    const together = await play([spend(first), settled]);
    expect(await play([spend(first)], [settled])).toEqual(together);
    expect(together.sums).toEqual({
      'minute:team/app:rpm': 1,
      'minute:team/app:tpm': 33,
      'day:team/app:rpd': 1,
      'day:team/app:tpd': 33,
      ...money(33, 0),
    });
    expect(Object.keys(together.other).filter((key) => key.includes(':request:'))).toEqual([]);
    // renewed between, and given back
    expect((await play([spend(first), renew(first, 12)], [settled])).sums).toEqual(together.sums);
    expect((await play([spend(first)], [end(first, 0, { refundRequest: true })])).sums).toEqual({
      'minute:team/app:rpm': 0,
      'minute:team/app:tpm': 0,
      'day:team/app:rpd': 0,
      'day:team/app:tpd': 0,
      ...money(0, 0),
    });
  });

  it('charges tokens and money without the lease, and no requests: those stayed counted where they are known at all', async () => {
    await tell(spend(first));
    expect(await sums()).toEqual({ 'minute:team/app:tpm': 20, 'day:team/app:tpd': 20, ...money(0, 100) });
    await tell(end(first, 7, { refundRequest: true }));
    expect(await sums()).toMatchObject({ 'minute:team/app:tpm': 7, ...money(0, 0) });
  });

  it('is not charged twice when the lease has lapsed: its money was spent for these requests', async () => {
    await lease(2, first);
    nowMs += 30_001;
    await tell(spend(first), end(first, 60));
    expect(await sums()).toMatchObject({ 'minute:team/app:rpm': 2, ...money(70, 0) });
  });

  it('keeps the lifetime of the lease', async () => {
    await lease(2, first);
    nowMs += 10_000;
    await tell(spend(first));
    const [key = ''] = await redis.keys('*:request:*lease:1');
    const left = await redis.pttl(key);
    expect(left).toBeLessThanOrEqual(20_000);
    expect(left).toBeGreaterThan(10_000);
  });
});

/** Spent and reserved of both budgets, once they are open; before that spend waits beside. */
function money(spent: number, reserved: number): Record<string, number> {
  return { 'spent T0': spent, 'reserved T0': reserved, 'spent D': spent, 'reserved D': reserved };
}
