import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { makeAdmission, useCountersProxies } from '../../test/support/counters-proxies.ts';
import { untilHolds } from '../../test/support/eventually.ts';
import { startRelay } from '../../test/support/relay.ts';
import { useRedis } from '../../test/support/use-redis.ts';
import type { Admission } from './counters.ts';
import type { SharedCounters } from './shared-counters.ts';

/** No operator answers: what the proxies know is all that is known. */
const restoreTimes = { giveUpMs: 200, listenMs: 20, askEveryMs: 50, pollMs: 10 };
const budgets = [
  { period: 'Daily', limitNanoUsd: 1_000_000_000, shadow: false },
  { period: 'Total', limitNanoUsd: 1_000_000_000, shadow: false },
] as const;
const money = { budgets, boundNanoUsd: 1_000_000, floorNanoUsd: 1_000 };
const costNanoUsd = 300_000;

const server = useRedis();
const proxyPool = useCountersProxies(() => ({ url: server.url, replicas: 2, restoreTimes }));

async function startProxies(): Promise<readonly [SharedCounters, SharedCounters]> {
  const [first, second] = await Promise.all([proxyPool.start(), proxyPool.start()]);
  return [first.counters, second.counters];
}

async function admit(counters: SharedCounters, count: number, rest: Partial<Admission> = {}): Promise<Admission[]> {
  const admissions = Array.from({ length: count }, () => makeAdmission([], { money, ...rest }));
  const answers = await Promise.all(admissions.map((admission) => counters.admit(admission)));
  for (const answer of answers) expect(answer).toMatchObject({ outcome: 'admitted', degraded: false });
  return admissions;
}

function settle(counters: SharedCounters, { requestId, keyId, windows, concurrency }: Admission): void {
  const ended = { requestId, keyId, windows, tokens: 0, concurrency: concurrency !== undefined, refundRequest: false };
  counters.settle({ ...ended, money: { budgets, costNanoUsd } });
}

/** A request more is admitted so that the spend is brought back, and given back. */
async function untilSpent(counters: SharedCounters, requests: number): Promise<void> {
  const [asked] = await admit(counters, 1);
  if (asked === undefined) throw new Error('nothing was asked');
  counters.settle({
    requestId: asked.requestId,
    keyId: asked.keyId,
    windows: [],
    tokens: 0,
    concurrency: false,
    refundRequest: true,
    money: { budgets, costNanoUsd: 0 },
  });
  await untilHolds(async () => {
    const { keyId } = asked;
    const answer = await counters.peek({ keyId, windows: [], budgets });
    expect(answer).toMatchObject({
      outcome: 'known',
      budgets: budgets.map(() => ({ spentNanoUsd: requests * costNanoUsd, reservedNanoUsd: 0 })),
    });
  });
}

describe.each([
  ['settled in batches', {}],
  ['settled at once', { concurrency: { limit: 1_000, shadow: false } }],
])('what requests cost that end while Redis loses its data, %s', (_what, rest) => {
  it('counts although their reservations are gone', async () => {
    const [first, second] = await startProxies();
    const mine = await admit(first, 20, rest);
    const theirs = await admit(second, 20, rest);
    for (const admission of mine.slice(0, 5)) settle(first, admission);
    await first.flush();
    await server.cli('FLUSHALL');
    // the one has not noticed it yet, the other has
    for (const admission of mine.slice(5)) settle(first, admission);
    await sleep(300);
    for (const admission of theirs) settle(second, admission);
    await untilSpent(first, 40);
  });

  it('counts when they end while it is away', async () => {
    const [first, second] = await startProxies();
    const mine = await admit(first, 20, rest);
    const theirs = await admit(second, 20, rest);
    await server.kill();
    for (const admission of mine) settle(first, admission);
    for (const admission of theirs.slice(10)) settle(second, admission);
    await server.start();
    await Promise.all([first.ready(5_000), second.ready(5_000)]);
    for (const admission of theirs.slice(0, 10)) settle(second, admission);
    await untilHolds(async () => expect([first.degraded, second.degraded]).toEqual([false, false]));
    await untilSpent(second, 40);
  });

  it('counts when they were let in while it was away, and it loses its data once more', async () => {
    const [first, second] = await startProxies();
    // each has a share of the budget because it has heard of it; the one that asks at the end has heard of both
    for (const counters of [second, first]) {
      for (const admission of await admit(counters, 1, rest)) settle(counters, admission);
      await counters.flush();
    }
    await server.kill();
    const awayOf = async (counters: SharedCounters): Promise<Admission[]> => {
      const admissions = Array.from({ length: 10 }, () => makeAdmission([], { money, ...rest }));
      await untilHolds(() => expect(counters.degraded).toBe(true));
      for (const admission of admissions) expect(await counters.admit(admission)).toMatchObject({ outcome: 'admitted', degraded: true });
      return admissions;
    };
    const [mine, theirs] = [await awayOf(first), await awayOf(second)];
    await server.start();
    await untilHolds(async () => expect([first.degraded, second.degraded]).toEqual([false, false]));
    await Promise.all([first.flush(), second.flush()]);
    await server.cli('FLUSHALL');
    // the one has not noticed it yet, the other has
    for (const admission of mine) settle(first, admission);
    await sleep(500);
    for (const admission of theirs) settle(second, admission);
    await Promise.all([first.flush(), second.flush()]);
    await untilSpent(first, 22);
  });

  it('counts once, whoever ends it twice', async () => {
    const [first] = await startProxies();
    const admissions = await admit(first, 10, rest);
    for (const admission of [...admissions, ...admissions]) settle(first, admission);
    await untilSpent(first, 10);
  });
});

it('what one proxy alone had heard of is added when it comes back after the budget was opened by another, and once', async () => {
  const relay = await startRelay('127.0.0.1', Number(new URL(server.url).port));
  try {
    const late = (await proxyPool.start({ url: `redis://127.0.0.1:${relay.port}` })).counters;
    const [early] = await startProxies();
    const spend = async (counters: SharedCounters, count: number): Promise<void> => {
      for (const admission of await admit(counters, count)) settle(counters, admission);
      await counters.flush();
    };
    await spend(early, 1);
    await spend(late, 10);
    await relay.cut();
    await server.kill();
    await untilHolds(() => expect([early.degraded, late.degraded]).toEqual([true, true]));
    await server.start();
    await untilHolds(() => expect(early.degraded).toBe(false));
    // opened by what this one knows, and spent on
    await spend(early, 5);
    await untilSpent(early, 6);
    await relay.restore();
    await untilHolds(() => expect(late.degraded).toBe(false));
    await untilSpent(early, 16);
    await spend(late, 2);
    await untilSpent(late, 18);
    // once more the same master, for who was away
    await relay.cut();
    await untilHolds(() => expect(late.degraded).toBe(true));
    await relay.restore();
    await untilHolds(() => expect(late.degraded).toBe(false));
    await spend(late, 1);
    await untilSpent(early, 19);
  } finally {
    await relay.close();
  }
}, 30_000);
