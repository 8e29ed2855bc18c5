import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { budgetsKey } from '../../core/budget-restore.ts';
import { budgetWindowId, toBudgetField } from '../../core/budget.ts';
import { tagOf } from '../../core/hash-tag.ts';
import type { KeyUsage } from '../../core/key-usage.ts';
import type { VirtualKey } from '../../core/resources.ts';
import { usageSecretType } from '../../core/usage-checkpoint.ts';
import { usageStreamOf } from '../../core/usage-stream.ts';
import { emptyUsage } from '../../core/usage.ts';
import type { SecretObject } from '../../operator/cluster/cluster.ts';
import { makeMemoryCluster } from '../../operator/cluster/memory.ts';
import { makeRedisBudgetBoard } from '../../operator/usage/budget-board.ts';
import { makeRedisUsageSource } from '../../operator/usage/redis-usage-source.ts';
import { UsageKeeper } from '../../operator/usage/usage-keeper.ts';
import { makeUsageSecrets, parseUsageSecret } from '../../operator/usage/usage-secrets.ts';
import { systemClock } from '../../runtime/clock.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeRedisLink } from '../../runtime/redis-link.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import type { RedisServer } from '../support/redis.ts';
import { startRedisCluster, type TestRedisCluster } from '../support/redis-cluster.ts';

const log = makeLog({ level: 'silent', name: 'test' });
const day = toBudgetField('Daily', budgetWindowId('Daily', Date.now()));
/** A connection to a silent master is given up after three seconds, and until then a look waits for it. */
const patience = { withinMs: 60_000 };
const cluster = makeMemoryCluster({ now: Date.now });
let redis: TestRedisCluster;
let requests = 0;
let ends: (() => Promise<void>)[] = [];

beforeAll(async () => {
  redis = await startRedisCluster();
});
afterAll(() => redis.stop());
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

async function keyOn(node: RedisServer | undefined): Promise<string> {
  for (let number = 0; number < 1_000; number += 1) if ((await redis.masterOf(tagOf(`n${number}/app`))) === node) return `n${number}/app`;
  throw new Error('no key is there');
}

function toVirtualKey(keyId: string): VirtualKey {
  const [namespace = '', name = ''] = keyId.split('/');
  return {
    apiVersion: 'keywright.dev/v1alpha1',
    kind: 'VirtualKey',
    metadata: { namespace, name, uid: keyId },
    spec: { budgets: [{ period: 'Daily', limit: '10' }] },
  };
}

/** A leader with a connection of its own. All keys are in one checkpoint, so that what one lacks could hold up the others. */
async function lead(): Promise<{ registry: Registry; stop(): Promise<void> }> {
  const link = makeRedisLink({ url: hide(redis.url), name: 'test', random: Math.random, log });
  const feed = { source: makeRedisUsageSource(link), board: makeRedisBudgetBoard(link) };
  const registry = new Registry();
  await eventually(() => link.connected, patience);
  const keeper = new UsageKeeper({
    feed,
    store: makeUsageSecrets({ cluster, namespace: 'system', buckets: 64, metrics: { registry } }),
    bucketOf: () => 7,
    virtualKeys: () => [],
    findKey: toVirtualKey,
    isKnown: () => true,
    tell: () => {},
    onChange: () => {},
    clock: systemClock,
    random: Math.random,
    log,
    metrics: { registry },
    maxKeySeries: 10,
    pace: { readMs: 10, checkpointMs: 50, statusMs: 1_000 },
  });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= keeper.stop().then(() => link.close()));
  ends.push(stop);
  return { registry, stop };
}

/** As settlements write them. */
async function settle(keyId: string, count: number): Promise<void> {
  for (let done = 0; done < count; done += 1) {
    requests += 1;
    const event = {
      requestId: `r-${requests}`,
      keyId,
      dialect: 'OpenAI',
      status: 200,
      usage: { ...emptyUsage, inputTokens: 3 },
      durationMs: 1,
    };
    await redis.cli('XADD', usageStreamOf(keyId), '*', 'e', JSON.stringify(event));
  }
}

/** Something is held as well, so that the key is looked at again and again. */
async function spend(keyId: string, nanoUsd: number): Promise<void> {
  const script = "redis.call('HSET', KEYS[1], ARGV[1], struct.pack('<dd', ARGV[2], 1), 'e', 'one', 'ea', 'one')";
  await (await redis.masterOf(tagOf(keyId))).cli('EVAL', script, '1', budgetsKey(keyId), day, String(nanoUsd));
}

function stored(keyId: string): Partial<KeyUsage> {
  const secrets = cluster.objects().filter((object) => (object as SecretObject).type === usageSecretType) as SecretObject[];
  const keys = secrets.map(parseUsageSecret).flatMap((result) => (result.ok ? result.checkpoint.keys : []));
  return keys.find(({ id }) => id === keyId) ?? {};
}

async function unread({ registry }: { registry: Registry }): Promise<number | undefined> {
  return (await registry.getSingleMetric('keywright_usage_unread_tags')?.get())?.values[0]?.value;
}

it('usage of keys on the other masters is read and written down while one is away, also by a new leader; what came meanwhile counts once when it is back', async () => {
  // the last one: the first is who tells the test where a key is
  const away = redis.nodes[2];
  const [lost, lasting] = [await keyOn(away), await keyOn(redis.nodes[0])];
  const first = await lead();
  for (const keyId of [lost, lasting]) {
    await spend(keyId, 1_000_000);
    await settle(keyId, 3);
    await untilHolds(() => expect(stored(keyId)).toMatchObject({ requests: 3, spent: { [day]: 1_000_000 } }), patience);
  }
  expect(await unread(first)).toBe(0);
  await away?.pause();
  let second: Awaited<ReturnType<typeof lead>>;
  try {
    await settle(lasting, 5);
    await spend(lasting, 2_000_000);
    await untilHolds(() => expect(stored(lasting)).toMatchObject({ requests: 8, spent: { [day]: 2_000_000 } }), patience);
    await untilHolds(async () => expect(await unread(first)).toBeGreaterThan(0), patience);
    expect(stored(lost)).toMatchObject({ requests: 3, spent: { [day]: 1_000_000 } });
    await first.stop();
    second = await lead();
    await settle(lasting, 2);
    await spend(lasting, 3_000_000);
    await untilHolds(() => expect(stored(lasting)).toMatchObject({ requests: 10, spent: { [day]: 3_000_000 } }), patience);
  } finally {
    await away?.resume();
  }
  // not by the node alone: the others take it for failed until they hear of it again
  await untilHolds(() => settle(lost, 1), patience);
  await settle(lost, 3);
  await spend(lost, 4_000_000);
  await untilHolds(() => expect(stored(lost)).toMatchObject({ requests: 7, spent: { [day]: 4_000_000 } }), patience);
  await untilHolds(async () => expect(await unread(second)).toBe(0), patience);
  expect(stored(lasting)).toMatchObject({ requests: 10 });
}, 240_000);
