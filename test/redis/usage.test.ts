import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { budgetsKey, restoreChannel, toRestoreQuestion } from '../../core/budget-restore.ts';
import { budgetWindowId, toBudgetField } from '../../core/budget.ts';
import { tagOf } from '../../core/hash-tag.ts';
import type { KeyUsage } from '../../core/key-usage.ts';
import type { VirtualKey } from '../../core/resources.ts';
import { usageSecretType } from '../../core/usage-checkpoint.ts';
import type { UsageEvent } from '../../core/usage-event.ts';
import { usageStreamKey, usageStreamOf } from '../../core/usage-stream.ts';
import { emptyUsage } from '../../core/usage.ts';
import { ClusterError, type SecretObject } from '../../operator/cluster/cluster.ts';
import { makeMemoryCluster, type MemoryCluster } from '../../operator/cluster/memory.ts';
import { makeRedisBudgetBoard } from '../../operator/usage/budget-board.ts';
import { makeRedisUsageSource } from '../../operator/usage/redis-usage-source.ts';
import { UsageKeeper } from '../../operator/usage/usage-keeper.ts';
import { makeUsageSecrets, parseUsageSecret } from '../../operator/usage/usage-secrets.ts';
import { toReadBudgetsCall, toStoredBudgets } from '../../runtime/budget-restore.ts';
import { systemClock } from '../../runtime/clock.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeRedisLink, type RedisLink } from '../../runtime/redis-link.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import { useRedis } from '../support/use-redis.ts';

const log = makeLog({ level: 'silent', name: 'test' });
const keyId = 'team/app';
const day = toBudgetField('Daily', budgetWindowId('Daily', Date.now()));
const redis = useRedis();
let cluster: MemoryCluster;
let writer: RedisLink;
let virtualKey: VirtualKey;
let dead = false;
let requests = 0;
const ends: (() => Promise<void>)[] = [];

beforeEach(async () => {
  dead = false;
  cluster = makeMemoryCluster({
    now: Date.now,
    fault: (verb) => (dead && (verb === 'create' || verb === 'replace') ? new ClusterError('Unavailable', 'dead') : undefined),
  });
  virtualKey = await cluster.apply<VirtualKey>({
    apiVersion: 'keywright.dev/v1alpha1',
    kind: 'VirtualKey',
    metadata: { namespace: 'team', name: 'app' },
    spec: { budgets: [{ period: 'Daily', limit: '10' }] },
  });
  writer = await connect();
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function connect(): Promise<RedisLink> {
  const link = makeRedisLink({ url: hide(redis.url), name: 'test', random: Math.random, log });
  ends.push(() => link.close());
  await eventually(() => link.connected);
  return link;
}

/** A leader with a connection of its own. */
async function lead(): Promise<UsageKeeper> {
  const link = makeRedisLink({ url: hide(redis.url), name: 'test', random: Math.random, log });
  const feed = { source: makeRedisUsageSource(link), board: makeRedisBudgetBoard(link) };
  const metrics = { registry: new Registry() };
  await eventually(() => link.connected);
  const keeper = new UsageKeeper({
    feed,
    store: makeUsageSecrets({ cluster, namespace: 'system', buckets: 64, metrics }),
    bucketOf: (id) => id.length % 64,
    virtualKeys: () => [virtualKey],
    findKey: (id) => (id === keyId ? virtualKey : undefined),
    isKnown: () => true,
    tell: (regarding, notice) => cluster.recordEvent({ regarding, ...notice }),
    onChange: () => {},
    clock: systemClock,
    random: Math.random,
    log,
    metrics,
    maxKeySeries: 10,
    pace: { readMs: 10, checkpointMs: 50, statusMs: 1_000 },
  });
  const stop = keeper.stop.bind(keeper);
  keeper.stop = async () => {
    await stop();
    await link.close();
  };
  ends.push(() => keeper.stop());
  return keeper;
}

/** As a settlement writes it. */
async function settle(id = keyId, requestId = `r-${(requests += 1)}`): Promise<void> {
  const event: UsageEvent = {
    requestId,
    keyId: id,
    dialect: 'OpenAI',
    status: 200,
    usage: { ...emptyUsage, inputTokens: 3 },
    durationMs: 1,
  };
  await writer.send([['XADD', usageStreamOf(id), 'MAXLEN', '~', '10000', '*', 'e', JSON.stringify(event)]]);
}

async function spend(nanoUsd: number, epoch = 'one'): Promise<void> {
  const script = "redis.call('HSET', KEYS[1], ARGV[1], struct.pack('<dd', ARGV[2], 0), 'e', ARGV[3], 'ea', ARGV[4])";
  await redis.cli('EVAL', script, '1', budgetsKey(keyId), day, String(nanoUsd), epoch, epoch);
}

async function standing() {
  const { answeredEpoch, windows } = toStoredBudgets((await writer.run([toReadBudgetsCall(budgetsKey(keyId))]))[0]);
  return { answeredEpoch, spent: windows.find(({ window }) => window === day)?.spentNanoUsd };
}

function stored(): Record<string, KeyUsage> {
  const secrets = cluster.objects().filter((object) => (object as SecretObject).type === usageSecretType) as SecretObject[];
  const parsed = secrets.map(parseUsageSecret).flatMap((result) => (result.ok ? result.checkpoint.keys : []));
  return Object.fromEntries(parsed.map((usage) => [usage.id, usage]));
}

const requestsOf = (id = keyId) => stored()[id]?.requests ?? 0;

it('counts every entry once, also those that are sent twice, over leaders that die before they have written or acknowledged', async () => {
  const ids = [keyId, 'team/b', 'other/cc', 'third/ddd'];
  let sent = 0;
  for (let term = 0; term < 6; term += 1) {
    const leader = await lead();
    for (let turn = 0; turn < 30; turn += 1) {
      const requestId = `t-${term}-${turn}`;
      for (const id of ids) await settle(id, requestId);
      if (turn % 7 === 0) await settle(keyId, requestId);
      sent += 1;
    }
    dead = term % 2 === 1;
    await leader.stop();
    dead = false;
  }
  await lead();
  await untilHolds(async () => expect(ids.map(requestsOf)).toEqual(ids.map(() => sent)));
  // Nothing more comes, and what is done is acknowledged.
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(ids.map(requestsOf)).toEqual(ids.map(() => sent));
  const [group] = (await redis.cli('XINFO', 'GROUPS', usageStreamOf(keyId))) as string[][];
  const [last] = (await redis.cli('XREVRANGE', usageStreamOf(keyId), '+', '-', 'COUNT', '1')) as [string][];
  expect(group?.[group.indexOf('last-delivered-id') + 1]).toBe(last?.[0]);
});

it('reads a Stream far behind in its own time, and passes over what is no event', async () => {
  await writer.send([['XADD', usageStreamOf(keyId), '*', 'e', 'not JSON']]);
  await writer.send([['XADD', usageStreamOf(keyId), '*', 'other', '{}']]);
  for (let batch = 0; batch < 3; batch += 1) await Promise.all(Array.from({ length: 1_000 }, () => settle()));
  await lead();
  await untilHolds(async () => expect(requestsOf()).toBe(3_000));
});

it('asks nothing of a Stream that is not there, and makes none', async () => {
  await lead();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(await redis.cli('KEYS', '*')).toEqual([]);
  expect(tagOf(keyId)).toBe(tagOf('team/b'));
  expect(usageStreamKey(tagOf(keyId))).toBe(usageStreamOf(keyId));
});

it('tells a Redis that has lost its data what was spent, when it asks; what goes on without asking is told with the next look', async () => {
  await lead();
  await spend(4_000_000_000);
  await settle();
  await untilHolds(async () => expect(stored()[keyId]?.spent[day]).toBe(4_000_000_000));
  await redis.kill();
  await redis.start();
  await redis.cli('FLUSHALL');
  await eventually(() => writer.connected);
  // As a proxy does that has to admit: it asks until it is answered.
  await untilHolds(async () => {
    await redis.cli('PUBLISH', restoreChannel, toRestoreQuestion({ keyId, epoch: 'two' }));
    expect(await standing()).toEqual({ answeredEpoch: 'two', spent: 4_000_000_000 });
  });
  await redis.cli('FLUSHALL');
  const script = "redis.call('HSET', KEYS[1], ARGV[1], struct.pack('<dd', 5, 0), 'e', 'three')";
  await redis.cli('EVAL', script, '1', budgetsKey(keyId), day);
  await settle();
  await untilHolds(async () => expect(await standing()).toEqual({ answeredEpoch: 'three', spent: 4_000_000_000 }));
  expect(requestsOf()).toBe(2);
});

it('resets what is spent by annotation, tells the proxies, and warns anew', async () => {
  await lead();
  await spend(9_000_000_000);
  await settle();
  await untilHolds(async () => expect(cluster.events().map(({ reason }) => reason)).toEqual(['BudgetWarning']));
  virtualKey = { ...virtualKey, metadata: { ...virtualKey.metadata, annotations: { 'keywright.dev/reset-budget': 'monday' } } };
  await untilHolds(async () => expect((await standing()).spent).toBe(0));
  await untilHolds(async () => expect(stored()[keyId]).toMatchObject({ spent: {}, warned: {}, reset: { asked: 'monday' } }));
  await spend(8_500_000_000);
  await settle();
  await untilHolds(async () =>
    expect(cluster.events().map(({ reason }) => reason)).toEqual(['BudgetWarning', 'BudgetReset', 'BudgetWarning']),
  );
});
