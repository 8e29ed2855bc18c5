import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { budgetsKey } from '../../core/budget-restore.ts';
import { tagOf } from '../../core/hash-tag.ts';
import type { UsageEvent } from '../../core/usage-event.ts';
import { parseUsageEvent, usageStreamOf } from '../../core/usage-stream.ts';
import { emptyUsage } from '../../core/usage.ts';
import { makeRedisBudgetBoard } from '../../operator/usage/budget-board.ts';
import type { BudgetRestore } from '../../proxy/counters/outage/budget-restorer.ts';
import type { Admission, AdmitAnswer, BudgetState, Settlement } from '../../proxy/counters/counters.ts';
import { openCounters } from '../../proxy/counters/open-counters.ts';
import type { SharedCounters } from '../../proxy/counters/shared-counters.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics, type Metrics } from '../../runtime/metrics.ts';
import { makeRedisLink } from '../../runtime/redis-link.ts';
import { type Child, startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { useRedis } from '../support/use-redis.ts';

const keyId = 'team-a/app';
const budgets = [{ period: 'Total', limitNanoUsd: 1_000, shadow: false }] as const;
const log = makeLog({ level: 'silent', name: 'test' });

const server = useRedis();
let nextRequest = 0;
let ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

interface Proxy {
  readonly counters: SharedCounters;
  readonly metrics: Metrics;
}

/** The counters of a proxy as its main makes them, with the channels on which proxies and operator talk. */
async function startProxy(budgetRestore: BudgetRestore = 'Open'): Promise<Proxy> {
  const metrics = makeMetrics();
  const link = makeRedisLink({ url: hide(server.url), name: 'test', random: Math.random, log });
  const settings = {
    redisUrl: hide(server.url),
    redisFailurePolicy: 'LocalShare',
    limitMode: 'leased',
    replicas: 1,
    budgetRestore,
  } as const;
  const none = { redisCaFile: undefined, redisSentinelUsername: undefined, redisSentinelPassword: undefined };
  const counters = (await openCounters({ ...none, ...settings }, { log, metrics, link })) as SharedCounters;
  ends.push(async () => {
    await counters.close();
    await link.close();
    metrics.close();
  });
  await eventually(() => link.connected && !counters.degraded);
  return { counters, metrics };
}

/** What an operator answers that has a checkpoint. */
async function startOperator(spent: Readonly<Record<string, number>>): Promise<void> {
  const link = makeRedisLink({ url: hide(server.url), name: 'operator', random: Math.random, log });
  const board = makeRedisBudgetBoard(link);
  board.listen(({ keyId: asked, epoch }) => void board.raise([{ keyId: asked, spent: new Map(Object.entries(spent)), answers: epoch }]));
  ends.push(() => link.close());
  await eventually(() => link.connected);
}

function request(boundNanoUsd: number, rest: Partial<Admission> = {}): Admission {
  nextRequest += 1;
  const money = { budgets, boundNanoUsd, floorNanoUsd: Math.ceil(boundNanoUsd / 10) };
  const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
  return { requestId: `request-${nextRequest}`, keyId, bearer, windows: [], tokens: 0, money, holdMs: 30_000, ...rest };
}

async function settle({ counters }: Proxy, admission: Admission, costNanoUsd: number, rest: Partial<Settlement> = {}): Promise<void> {
  const { requestId, windows } = admission;
  const money = { budgets, costNanoUsd };
  counters.settle({ requestId, keyId, windows, tokens: 0, concurrency: false, refundRequest: false, money, ...rest });
  await counters.flush();
}

async function spend(proxy: Proxy, nanoUsd: number): Promise<void> {
  const admission = request(nanoUsd);
  expect(await proxy.counters.admit(admission)).toMatchObject({ outcome: 'admitted', degraded: false });
  await settle(proxy, admission, nanoUsd);
}

/** By what stands in Redis; nobody sweeps because of it. */
async function standing({ counters }: Proxy): Promise<[spent: number | undefined, reserved: number | undefined]> {
  const answer = await counters.peek({ keyId, windows: [], budgets });
  const [state]: readonly BudgetState[] = answer.outcome === 'known' ? answer.budgets : [];
  return [state?.spentNanoUsd, state?.reservedNanoUsd];
}

async function events(): Promise<(UsageEvent | undefined)[]> {
  const entries = (await server.cli('XRANGE', usageStreamOf(keyId), '-', '+')) as [string, string[]][];
  return entries.map(([, [, text]]) => parseUsageEvent(text ?? ''));
}

async function restores({ metrics }: Proxy): Promise<Record<string, number>> {
  const found = (await metrics.registry.getMetricsAsJSON()).find(({ name }) => name === 'keywright_budget_restores_total');
  return Object.fromEntries((found?.values ?? []).map(({ labels, value }) => [String(labels['outcome']), value]));
}

const since = async (act: () => Promise<unknown>): Promise<number> => {
  const startedMs = performance.now();
  await act();
  return performance.now() - startedMs;
};

describe('a proxy that is killed', () => {
  /** Admits, tells what has flowed, and waits to be killed. */
  const program = `
    import { makeRedisCounters } from './proxy/counters/redis.ts';
    import { makeLog } from './runtime/log.ts';
    import { makeMetrics } from './runtime/metrics.ts';
    const log = makeLog({ level: 'silent', name: 'test' });
    const counters = makeRedisCounters({ url: process.env.TEST_REDIS, log, metrics: makeMetrics(), replicas: 1, now: Date.now, deadlineMs: 5_000 });
    await counters.ready(10_000);
    const admissions = JSON.parse(process.env.TEST_ADMISSIONS);
    const answers = await Promise.all(admissions.map((admission) => counters.admit(admission)));
    counters.renew(admissions[0], 0, 150);
    await counters.flush();
    console.log(answers.map(({ outcome }) => outcome).join());
    setInterval(() => {}, 1000);
  `;

  it('charges its requests and frees what they held within their deadline and five seconds, though nobody asks for the key again', async () => {
    const survivor = await startProxy();
    await startOperator({});
    // longer than a busy machine takes to look at what they hold
    const holdMs = 6_000;
    const [streaming, waiting] = [request(400, { holdMs }), request(200, { holdMs })];
    let printed = '';
    const child: Child = startChild(process.execPath, ['--input-type=module-typescript', '-e', program], {
      directory: join(import.meta.dirname, '..', '..'),
      environment: { ...process.env, TEST_REDIS: server.url, TEST_ADMISSIONS: JSON.stringify([streaming, waiting]) },
      onOutput: (text) => (printed += text),
    });
    await eventually(() => {
      if (!child.running) throw new Error(child.lastWords());
      return printed.includes('admitted,admitted');
    });
    child.signal('SIGKILL');
    await child.ended;
    expect(await standing(survivor)).toEqual([150, 450]);
    // what had flowed of one, the estimated input of the other
    await eventually(async () => (await standing(survivor)).join() === '170,0');
    const told = await events();
    expect(Object.fromEntries(told.map((event) => [event?.requestId, [event?.status, event?.costNanoUsd]]))).toEqual({
      [waiting.requestId]: [499, 20],
      [streaming.requestId]: [499, 150],
    });
    expect(told[0]).not.toHaveProperty('dialect');
    // its settlement comes after all: the difference, once
    await settle(survivor, streaming, 390);
    await settle(survivor, streaming, 390);
    expect(await standing(survivor)).toEqual([410, 0]);
  });
});

describe('spend that Redis has lost', () => {
  it('comes back as the most that any proxy has seen and the operator has kept; the request waits for it', async () => {
    const [first, second] = [await startProxy(), await startProxy()];
    await startOperator({ T0: 300 });
    await spend(first, 100);
    expect(await standing(first)).toEqual([400, 0]);
    await spend(second, 250);
    await server.cli('FLUSHALL');
    // the second has seen the most
    expect(await first.counters.admit(request(351))).toMatchObject({ outcome: 'exhausted', budget: { spentNanoUsd: 650 } });
    expect(await restores(first)).toMatchObject({ answered: 2 });
    expect(await first.counters.admit(request(350))).toMatchObject({ outcome: 'admitted', degraded: false });
  });

  it('is told to who only asks what is left, as to a request: never that nothing was spent', async () => {
    const [first, second] = [await startProxy(), await startProxy()];
    await startOperator({ T0: 300 });
    await spend(first, 100);
    await spend(second, 250);
    await server.cli('FLUSHALL');
    expect(await Promise.all([standing(first), standing(first), standing(second)])).toEqual(Array.from({ length: 3 }, () => [650, 0]));
    await server.cli('FLUSHALL');
    // one that has just been started
    expect(await standing(await startProxy())).toEqual([650, 0]);
    const { answered = 0, kept = 0 } = await restores(first);
    expect(answered + kept).toBeLessThanOrEqual(2);
  });

  it('and that nobody knows of is not told to be nothing: Closed answers 503 to who asks what is left', async () => {
    const closed = await startProxy('Closed');
    const ask = () => closed.counters.peek({ keyId, windows: [], budgets });
    expect(await ask()).toEqual({ outcome: 'unavailable' });
    await startOperator({ T0: 950 });
    expect(await ask()).toMatchObject({ outcome: 'known', budgets: [{ spentNanoUsd: 950 }] });
  });

  it('the operator alone is enough, and more than its answer is not waited for', async () => {
    await startOperator({ T0: 990 });
    const proxy = await startProxy();
    expect(await proxy.counters.admit(request(11))).toMatchObject({ outcome: 'exhausted' });
    expect(await restores(proxy)).toEqual({ answered: 1 });
  });

  it('many requests at the same time wait for one answer', async () => {
    await startOperator({ T0: 900 });
    const proxy = await startProxy();
    const answers = await Promise.all(Array.from({ length: 20 }, () => proxy.counters.admit(request(30))));
    expect(answers.filter(({ outcome }) => outcome === 'admitted').length).toBe(3);
    expect(answers.filter(({ outcome }) => outcome === 'exhausted').length).toBe(17);
    expect(await restores(proxy)).toEqual({ answered: 1 });
  });

  it('without an operator: Open goes on with what the proxies know after two seconds, Closed tells 503 until it answers', async () => {
    const open = await startProxy('Open');
    let answer: AdmitAnswer | undefined;
    const took = await since(async () => (answer = await open.counters.admit(request(600))));
    expect(answer).toMatchObject({ outcome: 'admitted', degraded: false });
    expect(took).toBeGreaterThanOrEqual(1_990);
    expect(await restores(open)).toEqual({ unanswered: 1 });
    await server.cli('FLUSHALL');
    const closed = await startProxy('Closed');
    expect(await closed.counters.admit(request(1))).toEqual({ outcome: 'unavailable' });
    expect(await restores(closed)).toEqual({ closed: 1 });
    await startOperator({ T0: 950 });
    expect(await closed.counters.admit(request(51))).toMatchObject({ outcome: 'exhausted', budget: { spentNanoUsd: 950 } });
  });

  it('in another life of Redis what stands is not believed, however it came there', async () => {
    await startOperator({});
    const proxy = await startProxy();
    await spend(proxy, 400);
    // as after a failover to a replica that lacks the last writes
    await server.cli('HSET', budgetsKey(keyId), 'e', 'the-master-before');
    await server.cli('HDEL', budgetsKey(keyId), 'T0');
    expect(await proxy.counters.admit(request(601))).toMatchObject({ outcome: 'exhausted', budget: { spentNanoUsd: 400 } });
    expect(await server.cli('HGET', budgetsKey(keyId), 'e')).not.toBe('the-master-before');
  });

  it('what running requests hold comes back too, and their end is charged', async () => {
    await startOperator({});
    const [busy, other] = [await startProxy(), await startProxy()];
    await spend(busy, 100);
    const running = request(500);
    expect(await busy.counters.admit(running)).toMatchObject({ outcome: 'admitted' });
    await server.cli('FLUSHALL');
    expect(await other.counters.admit(request(1))).toMatchObject({ outcome: 'admitted' });
    await eventually(async () => (await standing(other)).join() === '100,501');
    expect(await other.counters.admit(request(400))).toMatchObject({ outcome: 'exhausted' });
    await settle(busy, running, 450);
    expect(await standing(other)).toEqual([550, 1]);
  });

  it('a reset is not undone by what a proxy remembers', async () => {
    const proxy = await startProxy();
    const link = makeRedisLink({ url: hide(server.url), name: 'resetter', random: Math.random, log });
    const board = makeRedisBudgetBoard(link);
    board.listen(({ keyId: asked, epoch }) => void board.raise([{ keyId: asked, spent: new Map(), answers: epoch }]));
    ends.push(() => link.close());
    await eventually(() => link.connected);
    await spend(proxy, 700);
    await board.reset({ keyId, asked: 'today', windows: ['T0'] });
    await sleep(200);
    await server.cli('FLUSHALL');
    expect(await proxy.counters.admit(request(900))).toMatchObject({ outcome: 'admitted', budgets: [{ spentNanoUsd: 0 }] });
  });
});

it('what was decided while Redis was away is spent when it is back', async () => {
  const proxy = await startProxy();
  await startOperator({});
  await spend(proxy, 100);
  await server.kill();
  await eventually(() => proxy.counters.degraded);
  const [ended, running] = [request(200), request(300)];
  for (const admission of [ended, running])
    expect(await proxy.counters.admit(admission)).toMatchObject({ outcome: 'admitted', degraded: true });
  await settle(proxy, ended, 150);
  await server.start();
  await eventually(() => !proxy.counters.degraded);
  await spend(proxy, 10);
  await eventually(async () => (await standing(proxy)).join() === '260,300');
  await settle(proxy, running, 290);
  await eventually(async () => (await standing(proxy)).join() === '550,0');
});

describe('what is stored', () => {
  const used = { dialect: 'OpenAI', status: 200, usage: emptyUsage, costNanoUsd: 123_456_789_012_345, durationMs: 12 } as const;
  const event: UsageEvent = { requestId: 'r1', keyId, ...used };

  it('has one hash tag and a lifetime', async () => {
    await startOperator({});
    const proxy = await startProxy();
    const admission = request(100);
    await proxy.counters.admit(admission);
    await proxy.counters.admit(request(100));
    await settle(proxy, admission, 10, { event });
    const keys = ((await server.cli('KEYS', 'kw:*')) as string[]).filter((key) => !/:(probe|life)$/.test(key));
    expect(keys.length).toBe(7);
    for (const key of keys) {
      expect(key.startsWith(`kw:{${tagOf(keyId)}}:`), key).toBe(true);
      expect(Number(await server.cli('PTTL', key)), key).toBeGreaterThan(0);
    }
  });

  it('a usage event is written with the settlement, and for a key without limits as well', async () => {
    await startOperator({});
    const proxy = await startProxy();
    const admission = request(100);
    await proxy.counters.admit(admission);
    await settle(proxy, admission, 10, { event });
    const plain = { ...event, requestId: 'r2' };
    proxy.counters.settle({ requestId: 'r2', keyId, windows: [], tokens: 0, concurrency: false, refundRequest: false, event: plain });
    await proxy.counters.flush();
    expect(await events()).toEqual([event, plain]);
  });
});
