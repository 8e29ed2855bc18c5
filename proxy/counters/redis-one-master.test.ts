import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { tagOf } from '../../core/hash-tag.ts';
import { type CountersProxy, makeAdmission, makeCountersProxies, settleAdmission } from '../../test/support/counters-proxies.ts';
import { eventually, untilHolds } from '../../test/support/eventually.ts';
import type { RedisServer } from '../../test/support/redis.ts';
import { startRedisCluster, type TestRedisCluster } from '../../test/support/redis-cluster.ts';
import type { Admission, AdmitAnswer, LimitWindow } from './counters.ts';

/** How many proxies the limits are shared by. */
const replicas = 2;
const limit = 40;
/** Longer than the time after which the connection to a silent Redis is given up, so that both are seen: one that is silent, and one that is lost. */
const hungMs = 5_000;
/** After so long the connection to a silent Redis is given up. */
const silentMs = 3_000;
/** An admission waits twice that long at most: less than the time after which the connection to a silent Redis is given up, and far more than an answer takes on a busy machine. */
const deadlineMs = 1_000;

const rpm: LimitWindow = { name: 'rpm', unit: 'requests', span: 'minute', limit, shadow: false };
let cluster: TestRedisCluster;
let nodes: readonly [RedisServer, RedisServer, RedisServer];
let pool: ReturnType<typeof makeCountersProxies>;

beforeAll(async () => {
  cluster = await startRedisCluster();
  const [first, second, third] = cluster.nodes;
  if (first === undefined || second === undefined || third === undefined) throw new Error('the cluster has three masters');
  nodes = [first, second, third];
  pool = makeCountersProxies(() => ({ url: cluster.url, replicas }));
});
afterAll(() => cluster.stop());
beforeEach(() => cluster.flush());
afterEach(() => pool.end());

async function keyOn(node: RedisServer): Promise<string> {
  for (let number = 0; number < 1_000; number += 1) if ((await cluster.masterOf(tagOf(`n${number}/app`))) === node) return `n${number}/app`;
  throw new Error('no key is there');
}

async function keysOnEach(): Promise<readonly [string, string, string]> {
  const [first, second, third] = await Promise.all(nodes.map(keyOn));
  return [first ?? '', second ?? '', third ?? ''];
}

async function gauge(proxy: CountersProxy, name: string): Promise<Record<string, number>> {
  const found = (await proxy.metrics.registry.getMetricsAsJSON()).find((item) => item.name === name);
  return Object.fromEntries(found?.values.map(({ labels, value }) => [String(labels['node'] ?? ''), value]) ?? []);
}

const ask = (proxy: CountersProxy, keyId: string, rest: Partial<Admission> = {}): Promise<AdmitAnswer> =>
  proxy.counters.admit(makeAdmission([rpm], { keyId, ...rest }));

async function timed<T>(answer: Promise<T>): Promise<{ answer: T; tookMs: number }> {
  const startedMs = performance.now();
  return { answer: await answer, tookMs: performance.now() - startedMs };
}

/** Asks for each key at each proxy again and again; gives what each key was answered, with how long that took. */
async function load(
  proxies: readonly CountersProxy[],
  keyIds: readonly string[],
  { untilMs, everyMs }: { untilMs: number; everyMs: number },
) {
  const seen = new Map(keyIds.map((keyId) => [keyId, [] as { answer: AdmitAnswer; tookMs: number }[]]));
  const client = async (proxy: CountersProxy, keyId: string): Promise<void> => {
    while (performance.now() < untilMs) {
      seen.get(keyId)?.push(await timed(ask(proxy, keyId)));
      await sleep(everyMs);
    }
  };
  await Promise.all(proxies.flatMap((proxy) => keyIds.map((keyId) => client(proxy, keyId))));
  return (keyId: string) => seen.get(keyId) ?? [];
}

const countAdmitted = (answers: readonly { answer: AdmitAnswer }[]): number =>
  answers.filter(({ answer }) => answer.outcome === 'admitted').length;
const nodeName = ({ port }: RedisServer): string => `127.0.0.1:${port}`;

it('one of three masters that hangs concerns its own keys alone: by their share, told of, and made up for when it answers again', async () => {
  const proxies = await Promise.all([pool.start({ deadlineMs }), pool.start({ deadlineMs })]);
  const [lost, ...lasting] = await keysOnEach();
  for (const proxy of proxies) {
    expect(await gauge(proxy, 'keywright_limiter_node_degraded')).toEqual(Object.fromEntries(nodes.map((node) => [nodeName(node), 0])));
    for (const keyId of [lost, ...lasting]) expect(await ask(proxy, keyId)).toMatchObject({ outcome: 'admitted', degraded: false });
  }
  const [hung, ...others] = nodes;
  await hung.pause();
  let admittedOfLost = replicas;
  try {
    const answersOf = await load(proxies, [lost, ...lasting], { untilMs: performance.now() + hungMs, everyMs: 50 });
    for (const keyId of lasting) {
      const answers = answersOf(keyId);
      expect(answers.filter(({ answer }) => !('degraded' in answer) || answer.degraded)).toEqual([]);
      expect(replicas + countAdmitted(answers)).toBe(limit);
      // who waits for the one that hangs waits for the deadline at least
      expect(answers.filter(({ tookMs }) => tookMs >= deadlineMs)).toEqual([]);
    }
    const answers = answersOf(lost);
    expect(answers.filter(({ answer }) => !('degraded' in answer && answer.degraded))).toEqual([]);
    // each gives its own half: together the limit, and no request waits once it is known that nobody answers
    admittedOfLost += countAdmitted(answers);
    expect(admittedOfLost).toBe(limit);
    expect(answers.filter(({ tookMs }) => tookMs >= deadlineMs).length).toBeLessThanOrEqual(replicas);
    for (const proxy of proxies) {
      const wanted = { [nodeName(hung)]: 1, ...Object.fromEntries(others.map((node) => [nodeName(node), 0])) };
      expect(await gauge(proxy, 'keywright_limiter_node_degraded')).toEqual(wanted);
      expect(await gauge(proxy, 'keywright_limiter_degraded')).toEqual({ '': 1 });
      expect(proxy.logged()).toMatch(new RegExp(`"event":"limiter_degraded"[^\n]*"node":"${nodeName(hung)}"`));
      for (const node of others)
        expect(proxy.logged()).not.toMatch(new RegExp(`"event":"limiter_degraded"[^\n]*"node":"${nodeName(node)}"`));
    }
  } finally {
    await hung.resume();
  }
  await untilHolds(
    async () => {
      for (const proxy of proxies) expect(await gauge(proxy, 'keywright_limiter_degraded')).toEqual({ '': 0 });
    },
    { withinMs: 15_000 },
  );
  // Redis has been told of every request that was let in without it
  for (const proxy of proxies) expect(await ask(proxy, lost)).toMatchObject({ outcome: 'refused', degraded: false });
});

it('of two masters that are away the one that returns first is told at once and decides, whatever becomes of the other', async () => {
  const proxy = await pool.start({ replicas: 1, deadlineMs });
  const [first, second, third] = await keysOnEach();
  for (const keyId of [first, second]) expect(await ask(proxy, keyId)).toMatchObject({ outcome: 'admitted', degraded: false });
  await Promise.all([nodes[0].pause(), nodes[1].pause()]);
  try {
    for (const keyId of [first, second]) {
      await untilHolds(async () => expect(await ask(proxy, keyId, { requestId: `${keyId}-probe` })).toMatchObject({ degraded: true }));
      for (let count = 0; count < 5; count += 1) expect(await ask(proxy, keyId)).toMatchObject({ outcome: 'admitted', degraded: true });
    }
    await nodes[0].resume();
    await eventually(() => proxy.counters.decides(first));
    const answer = await ask(proxy, first);
    if (answer.outcome !== 'admitted') throw new Error('there is room');
    expect(answer.degraded).toBe(false);
    // one through Redis, one that was late, five by the share, and this one
    expect(answer.windows[0]?.remaining).toBe(limit - 8);
    expect(await ask(proxy, second)).toMatchObject({ degraded: true });
    expect(await ask(proxy, third)).toMatchObject({ degraded: false });
    expect(await gauge(proxy, 'keywright_limiter_node_degraded')).toMatchObject({ [nodeName(nodes[0])]: 0, [nodeName(nodes[1])]: 1 });
  } finally {
    await Promise.all([nodes[0].resume(), nodes[1].resume()]);
  }
  await eventually(() => !proxy.counters.degraded);
});

it('what ends at a master that hangs holds up no end of a request with a slot on another', async () => {
  const proxy = await pool.start();
  const [lost, lasting] = await keysOnEach();
  const concurrency = { limit: 1, shadow: false };
  const held = makeAdmission([], { keyId: lost, concurrency });
  expect(await proxy.counters.admit(held)).toMatchObject({ outcome: 'admitted', degraded: false });
  await nodes[0].pause();
  try {
    settleAdmission(proxy.counters, held, 0);
    for (let count = 0; count < 20; count += 1) {
      const admission = makeAdmission([], { keyId: lasting, concurrency });
      expect(await proxy.counters.admit(admission)).toMatchObject({ outcome: 'admitted', degraded: false });
      settleAdmission(proxy.counters, admission, 0);
      await sleep(50);
    }
  } finally {
    await nodes[0].resume();
  }
});

it('what ends at a master that hangs holds up nothing of what ends on the others', async () => {
  const proxy = await pool.start();
  const [lost, ...lasting] = await keysOnEach();
  const tpm: LimitWindow = { name: 'tpm', unit: 'tokens', span: 'minute', limit: 1_000, shadow: false };
  const used = async (keyId: string): Promise<number | undefined> => {
    const answer = await proxy.counters.peek({ keyId, windows: [tpm] });
    return answer.outcome === 'known' && !answer.degraded ? answer.windows[0]?.used : undefined;
  };
  const [held, together, after] = [lost, ...lasting].map((keyId) => makeAdmission([tpm], { keyId, tokens: 400 }));
  const later = makeAdmission([tpm], { keyId: lasting[0] ?? '', tokens: 400 });
  if (held === undefined || together === undefined || after === undefined) throw new Error('there are keys');
  for (const admission of [held, together, after, later])
    expect(await proxy.counters.admit(admission)).toMatchObject({ outcome: 'admitted', degraded: false });
  const pausedMs = performance.now();
  await nodes[0].pause();
  try {
    for (const admission of [held, together]) settleAdmission(proxy.counters, admission, 10);
    // now that is on its way
    await sleep(100);
    for (const admission of [after, later]) settleAdmission(proxy.counters, admission, 10);
    await untilHolds(async () => expect([await used(together.keyId), await used(after.keyId)]).toEqual([20, 10]));
    expect(performance.now() - pausedMs).toBeLessThan(silentMs);
  } finally {
    await nodes[0].resume();
  }
  await untilHolds(async () => expect(await used(lost)).toBe(10));
});
