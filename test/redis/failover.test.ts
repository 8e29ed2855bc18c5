import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { hashTags, tagOf } from '../../core/hash-tag.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { openRedis } from '../../runtime/redis-open.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import { type LimitedProxy, startLimitedProxy } from '../support/limited-proxy.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { startRedisSentinel } from '../support/redis-sentinel.ts';
import { breakReplication, untilReplicated } from '../support/replication.ts';

const log = makeLog({ level: 'silent', name: 'test' });
const limit = 40;
/** A Sentinel that was not given its turn for two seconds does nothing for the next thirty (TILT). */
const failoverMs = 180_000;
let ends: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

async function startProxy(options: Parameters<typeof startLimitedProxy>[0]): Promise<LimitedProxy> {
  const proxy = await startLimitedProxy(options);
  ends.push(() => proxy.close());
  return proxy;
}

async function admit(proxy: LimitedProxy, keyId: string, count: number): Promise<void> {
  for (let request = 0; request < count; request += 1)
    expect(await proxy.ask(keyId, limit)).toMatchObject({ outcome: 'admitted', degraded: false });
}

/** Asks until Redis answers again and the limit is reached; gives how many were admitted by it. */
async function admitTheRest(proxy: LimitedProxy, keyId: string): Promise<number> {
  let admitted = 0;
  await eventually(
    async () => {
      const answer = await proxy.ask(keyId, limit);
      if (answer.outcome === 'admitted') admitted += 1;
      return answer.outcome === 'refused';
    },
    { withinMs: failoverMs, everyMs: 20 },
  );
  return admitted;
}

describe('a failover', () => {
  it('by Sentinels: no more is admitted than the limit and the writes that it lost, without a restart', { timeout: 400_000 }, async () => {
    const sentinel = await startRedisSentinel();
    ends.push(() => sentinel.stop());
    const options = { url: sentinel.url, sentinelPassword: hide(sentinel.sentinelPassword) };
    const proxy = await startProxy(options);
    const redis = openRedis({ ...options, url: hide(options.url), name: 'test', random: Math.random, log });
    ends.push(() => redis.close());
    await eventually(() => redis.ready);
    const epoch = redis.epochOf('{00}');
    const [master, replica] = [await sentinel.master(), await sentinel.replica()];

    await admit(proxy, 'team/app', 10);
    await untilReplicated(master, replica);
    await breakReplication(master);
    await admit(proxy, 'team/app', 5);
    await master.kill();
    expect(await proxy.ask('team/app', limit)).toEqual({ outcome: 'unavailable' });
    const rest = await admitTheRest(proxy, 'team/app');
    // at most what the old master lost; what this proxy told the new one of its last window makes up for it
    expect(10 + 5 + rest).toBeLessThanOrEqual(limit + 5);
    expect(10 + 5 + rest).toBeGreaterThanOrEqual(limit);
    expect(await sentinel.master()).toBe(replica);
    await untilHolds(() => expect(redis.ready).toBe(true));
    expect(redis.epochOf('{00}')).toMatch(/^[0-9a-f]{40}$/);
    expect(redis.epochOf('{00}')).not.toBe(epoch);
  });

  it(
    'by Sentinels while the master lives: with min-replicas-to-write it acknowledges nothing that would be lost, and all find the new one',
    { timeout: 400_000 },
    async () => {
      const sentinel = await startRedisSentinel();
      ends.push(() => sentinel.stop());
      const proxy = await startProxy({ url: sentinel.url, sentinelPassword: hide(sentinel.sentinelPassword) });
      await admit(proxy, 'team/app', 10);
      const [master, replica] = [await sentinel.master(), await sentinel.replica()];
      await untilReplicated(master, replica);
      // otherwise it takes writes for a second or two after its replica has been promoted
      await master.cli('CONFIG', 'SET', 'min-replicas-to-write', '1');
      await sentinel.sentinels[0]?.cli('SENTINEL', 'FAILOVER', 'mymaster');
      let admitted = 10;
      await eventually(
        async () => {
          if ((await proxy.ask('team/app', limit)).outcome === 'admitted') admitted += 1;
          return (await sentinel.master()) === replica;
        },
        { withinMs: failoverMs, everyMs: 100 },
      );
      admitted += await admitTheRest(proxy, 'team/app');
      expect(admitted).toBe(limit);
      expect(proxy.counters.degraded).toBe(false);
    },
  );

  it('of one master of a cluster: the same, and keys on the others go on by the word of Redis', { timeout: 400_000 }, async () => {
    const cluster = await startRedisCluster({ masters: 3, replicas: 1, nodeTimeoutMs: 2_500 });
    ends.push(() => cluster.stop());
    const [master, other, , replica] = cluster.nodes;
    if (master === undefined || other === undefined || replica === undefined) throw new Error('the cluster has four nodes');
    const keyOn = async (node: unknown): Promise<string> => {
      for (let number = 0; number < 10 * hashTags.length; number += 1)
        if ((await cluster.masterOf(tagOf(`n${number}/app`))) === node) return `n${number}/app`;
      throw new Error('no key is there');
    };
    const [lostKey, lastingKey] = [await keyOn(master), await keyOn(other)];
    const proxy = await startProxy({ url: cluster.url });

    await admit(proxy, lostKey, 10);
    await admit(proxy, lastingKey, 1);
    await untilReplicated(master, replica);
    await breakReplication(master);
    await admit(proxy, lostKey, 5);
    await master.kill();
    await untilHolds(async () => expect(await proxy.ask(lostKey, limit)).toEqual({ outcome: 'unavailable' }));
    await untilHolds(async () => expect((await proxy.ask(lastingKey, 1_000_000)).outcome).toBe('admitted'));
    for (let count = 0; count < 10; count += 1) {
      expect(await proxy.ask(lastingKey, 1_000_000)).toMatchObject({ outcome: 'admitted', degraded: false });
      expect(await proxy.ask(lostKey, limit)).toEqual({ outcome: 'unavailable' });
      await sleep(20);
    }
    expect(proxy.counters.degraded).toBe(true);
    const rest = await admitTheRest(proxy, lostKey);
    // at most what the old master lost; what this proxy told the new one of its last window makes up for it
    expect(10 + 5 + rest).toBeLessThanOrEqual(limit + 5);
    expect(10 + 5 + rest).toBeGreaterThanOrEqual(limit);
    await untilHolds(() => expect(proxy.counters.degraded).toBe(false));
  });
});
