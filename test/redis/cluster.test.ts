import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runRevoke } from '../../cli/revoke.ts';
import { hashTags, tagOf } from '../../core/hash-tag.ts';
import { type Revocation, revocationChannel } from '../../core/revocation.ts';
import { makeRedisLastUsed } from '../../operator/credentials/last-used.ts';
import { followHeartbeats } from '../../operator/revocation/heartbeats.ts';
import { makeRedisBoard } from '../../operator/revocation/revocation-board.ts';
import { startHeartbeat } from '../../proxy/snapshot/heartbeat.ts';
import { startLastUsed } from '../../proxy/keys/last-used.ts';
import { startRevocationFeed } from '../../proxy/keys/revocation-feed.ts';
import { makeRedisBudgetBoard } from '../../operator/usage/budget-board.ts';
import { systemClock } from '../../runtime/clock.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { makeRedisLink, type RedisLink } from '../../runtime/redis-link.ts';
import type { RedisNodes } from '../../runtime/redis-command.ts';
import { openRedis } from '../../runtime/redis-open.ts';
import { makeRedisScript, runScript, runScripts } from '../../runtime/redis-script.ts';
import { slotOf } from '../../runtime/redis-slots.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import type { RedisServer } from '../support/redis.ts';
import { startRedisCluster, type TestRedisCluster } from '../support/redis-cluster.ts';
import { replicationOf } from '../support/replication.ts';

let cluster: TestRedisCluster;
let ends: (() => Promise<void> | void)[] = [];
const log = makeLog({ level: 'silent', name: 'test' });
const metrics = makeMetrics();
/** one key of each tag, by tag */
const keyOfTag = new Map(Array.from({ length: 2_000 }, (_, number) => `n${number}/app`).map((keyId) => [tagOf(keyId), keyId]));
const keys = hashTags.map((tag) => keyOfTag.get(tag) ?? '');
const noteScript = makeRedisScript("redis.call('RPUSH', KEYS[1], ARGV[1]) return KEYS[1] .. ' ' .. ARGV[1]");

beforeAll(async () => {
  cluster = await startRedisCluster({ masters: 3, replicas: 1 });
});
afterAll(async () => {
  metrics.close();
  await cluster.stop();
});
beforeEach(() => cluster.flush());
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

function startLink(url = cluster.url): RedisLink {
  const link = makeRedisLink({ url: hide(url), name: 'test', random: Math.random, log });
  ends.push(() => link.close());
  return link;
}

async function open(): Promise<RedisNodes> {
  const redis = openRedis({ url: hide(cluster.url), name: 'test', random: Math.random, log });
  ends.push(() => redis.close());
  await eventually(() => redis.ready);
  return redis;
}

/** A hash tag whose keys this master holds. */
async function tagOn(master: RedisServer): Promise<string> {
  for (const tag of hashTags) if ((await cluster.masterOf(tag)) === master) return tag;
  throw new Error('the node is no master');
}

const revoked = (keyId: string): Revocation => ({ keyId, uid: 'one', gen: 1, state: 'Revoked', ended: [] });
const note = (tag: string, ...values: string[]) => ({ script: noteScript, keyCount: 1, parameters: [`kw:{${tag}}:note`, ...values] });

describe('commands on many nodes', () => {
  it('are split by node, and each answer is in the place of its command', async () => {
    const redis = await open();
    const places = new Set(hashTags.map((tag) => redis.placeOf(`{${tag}}`)));
    expect(places.size).toBe(3);
    const written = await redis.send(hashTags.map((tag) => ['SET', `kw:{${tag}}:x`, tag] as const));
    expect(written.every(({ status }) => status === 'fulfilled')).toBe(true);
    const read = await redis.send(hashTags.map((tag) => ['GET', `kw:{${tag}}:x`] as const));
    expect(read.map((result) => result.status === 'fulfilled' && result.value)).toEqual(hashTags);
    expect(await cluster.keys()).toHaveLength(64);
  });

  it('of scripts: a node that forgot them is brought them along, in order', async () => {
    const redis = await open();
    const calls = hashTags.flatMap((tag) => ['first', 'second'].map((value) => note(tag, value)));
    const wanted = calls.map(({ parameters: [key, value] }) => ({ status: 'fulfilled', value: `${key} ${value}` }));
    expect(await runScripts(redis, calls)).toEqual(wanted);
    for (const { cli } of [await cluster.masterOf('00'), await cluster.masterOf('1e')]) await cli('SCRIPT', 'FLUSH');
    expect(await runScripts(redis, calls)).toEqual(wanted);
    for (const tag of hashTags)
      expect(await cluster.cli('LRANGE', `kw:{${tag}}:note`, '0', '-1')).toEqual(['first', 'second', 'first', 'second']);
  });

  it('of one node that is away fail alone', async () => {
    const redis = await open();
    // neither has a replica that would take its place
    const [away, other] = [cluster.nodes[1], cluster.nodes[2]];
    if (away === undefined || other === undefined) throw new Error('the cluster has three masters');
    const [lost, lasting] = [await tagOn(away), await tagOn(other)];
    await away.pause();
    try {
      await eventually(() => !redis.readyFor(`{${lost}}`));
      expect([redis.ready, redis.reachable, redis.readyFor(`{${lasting}}`)]).toEqual([false, true, true]);
      const [refused, done] = await redis.send([
        ['SET', `kw:{${lost}}:x`, '1'],
        ['SET', `kw:{${lasting}}:x`, '1'],
      ]);
      expect(refused).toMatchObject({ status: 'rejected', reason: { name: 'RedisAway' } });
      expect(done).toEqual({ status: 'fulfilled', value: 'OK' });
    } finally {
      await away.resume();
    }
    await eventually(() => redis.ready);
  });
});

describe('what processes tell each other', () => {
  it('revocations of keys on all nodes are heard by a proxy, found by reading, and written by break-glass', async () => {
    const taken = new Set<string>();
    const link = startLink();
    const feed = startRevocationFeed({
      link,
      revocations: { take: (revocation) => void taken.add(revocation.keyId) } as Parameters<typeof startRevocationFeed>[0]['revocations'],
      clock: systemClock,
      log,
      metrics,
    });
    ends.push(() => feed.stop());
    const told: string[] = [];
    const operator = startLink();
    operator.subscribe(revocationChannel, (message) => told.push(message));
    const board = makeRedisBoard(startLink(), { listens: false });
    await eventually(() => link.connected && operator.connected && board.connected);
    for (const keyId of keys) await board.write(revoked(keyId));
    await untilHolds(() => expect([taken.size, told.length]).toEqual([64, 64]));
    expect((await board.read()).standing.map(({ keyId }) => keyId).toSorted()).toEqual(keys.toSorted());
    const output = { print: () => {}, complain: () => {}, ask: async () => undefined };
    for (const keyId of keys.slice(0, 8)) {
      expect(await runRevoke([keyId, '--break-glass', '--yes'], { KEYWRIGHT_REDIS_URL: cluster.url }, output)).toBe(0);
    }
    expect((await board.read()).standing.filter(({ uid }) => uid === '*')).toHaveLength(8);
  });

  it('heartbeats and last uses too', async () => {
    const [proxyLink, operatorLink] = [startLink(), startLink()];
    const common = { clock: systemClock, log };
    const heartbeats = followHeartbeats({ ...common, link: operatorLink, metrics: makeMetrics() });
    const beat = startHeartbeat({
      ...common,
      link: proxyLink,
      proxy: 'one',
      inForce: () => ({ epoch: 1, revisions: ['00000000'] }),
      metrics: makeMetrics(),
    });
    const lastUsed = startLastUsed({ ...common, link: proxyLink });
    ends.push(
      () => heartbeats.stop(),
      () => beat.stop(),
    );
    await untilHolds(() => expect(heartbeats.settlementOf({ epoch: 1, bucket: 0, revision: '00000000' })).toBe('settled'));
    const used = keys.map((keyId) => ({ keyId, credentialId: 'aaaaaaaaaaaa' }));
    for (const credential of used) lastUsed.note(credential);
    await lastUsed.stop();
    const { times } = await makeRedisLastUsed(operatorLink).read(used);
    expect(times.every((time) => time !== undefined && time > 0)).toBe(true);
  });
});

describe('what the operator reads of all keys while a master hangs', () => {
  it('is read of those on the others, and it says of how many it is not', async () => {
    const link = startLink();
    const board = makeRedisBoard(link, { listens: false });
    const lastUsed = startLastUsed({ link, clock: systemClock, log });
    const budgets = makeRedisBudgetBoard(link);
    await eventually(() => board.connected);
    for (const keyId of keys) await board.write(revoked(keyId));
    const used = keys.map((keyId) => ({ keyId, credentialId: 'aaaaaaaaaaaa' }));
    for (const credential of used) lastUsed.note(credential);
    await lastUsed.stop();
    const source = makeRedisLastUsed(link);
    const [, hung] = cluster.nodes;
    if (hung === undefined) throw new Error('the cluster has three masters');
    const lost = new Set<string>();
    for (const tag of hashTags) if ((await cluster.masterOf(tag)) === hung) lost.add(tag);
    await hung.pause();
    try {
      // at once, so that the connection is not yet known to be silent
      const [read, { times, unread }, raised] = await Promise.all([
        board.read(),
        source.read(used),
        budgets.raise(keys.map((keyId) => ({ keyId, spent: new Map([['T0', 5]]) }))),
      ]);
      expect(read.unread).toEqual(lost);
      expect(read.standing.map(({ keyId }) => tagOf(keyId)).toSorted()).toEqual(hashTags.filter((tag) => !lost.has(tag)));
      expect([unread, times.filter((time) => time === undefined).length]).toEqual([lost.size, lost.size]);
      expect(raised.filter(({ status }) => status === 'fulfilled')).toHaveLength(hashTags.length - lost.size);
      expect(await source.forget(used)).toHaveLength(hashTags.length - lost.size);
    } finally {
      await hung.resume();
    }
    await untilHolds(async () => expect((await board.read()).unread.size).toBe(0));
    expect((await board.read()).standing).toHaveLength(64);
    expect((await source.read(used)).times.filter((time) => time !== undefined)).toHaveLength(lost.size);
  });
});

describe('a tag that moves to another master', () => {
  it('is asked for where it is; what was decided by the epoch of the former one is refused, not sent on', async () => {
    const redis = await open();
    // the map is asked for once more right after the start, and then not for seconds
    await sleep(500);
    const [source, target] = [cluster.nodes[1], cluster.nodes[2]];
    if (source === undefined || target === undefined) throw new Error('the cluster has three masters');
    const [tag, neighbour] = [await tagOn(source), await tagOn(target)];
    const [key, slot] = [`kw:{${tag}}:x`, String(slotOf(`{${tag}}`))];
    const [former, next] = [await replicationOf(source, 'master_replid'), await replicationOf(target, 'master_replid')];
    expect([redis.epochOf(key), redis.epochOf(`{${neighbour}}`)]).toEqual([former, next]);
    await redis.send([['SET', key, 'here']]);
    const [from, to] = [String(await source.cli('CLUSTER', 'MYID')), String(await target.cli('CLUSTER', 'MYID'))];
    const here = { status: 'fulfilled', value: 'here' };

    await target.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from);
    await source.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to);
    expect(await redis.send([['GET', key]])).toEqual([here]);
    await source.cli('MIGRATE', '127.0.0.1', String(target.port), key, '0', '1000');
    // ASK, for each of them anew, and what stands between them goes its own way
    const mixed = await redis.send([
      ['GET', key],
      ['SET', `kw:{${neighbour}}:y`, '1'],
      ['GET', key],
    ]);
    expect(mixed).toEqual([here, { status: 'fulfilled', value: 'OK' }, here]);

    await target.cli('CLUSTER', 'SETSLOT', slot, 'NODE', to);
    await source.cli('CLUSTER', 'SETSLOT', slot, 'NODE', to);
    expect(redis.placeOf(key)).toBe(`127.0.0.1:${source.port}`);
    // MOVED
    const results = await runScripts(redis, [note(tag, 'bound', former), note(tag, 'free')]);
    expect(results).toEqual([
      { status: 'rejected', reason: expect.objectContaining({ name: 'RedisAway' }) },
      { status: 'fulfilled', value: `kw:{${tag}}:note free` },
    ]);
    await eventually(() => redis.placeOf(key) === `127.0.0.1:${target.port}`);
    expect([redis.epochOf(key), await target.cli('LRANGE', `kw:{${tag}}:note`, '0', '-1')]).toEqual([next, ['free']]);
  });

  it('has another epoch when a replica has taken over, also without a lost connection', async () => {
    const [master, replica] = [cluster.nodes[0], cluster.nodes.at(-1)];
    if (master === undefined || replica === undefined) throw new Error('the cluster has a replica');
    const tag = await tagOn(master);
    const redis = await open();
    const former = redis.epochOf(`{${tag}}`);
    expect(former).toMatch(/^[0-9a-f]{40}$/);
    await replica.cli('CLUSTER', 'FAILOVER');
    await eventually(async () => (await replicationOf(replica, 'role')) === 'master');
    await untilHolds(async () => expect(await runScript(redis, note(tag, 'free'))).toBe(`kw:{${tag}}:note free`));
    expect([redis.placeOf(`{${tag}}`), redis.epochOf(`{${tag}}`)]).toEqual([
      `127.0.0.1:${replica.port}`,
      await replicationOf(replica, 'master_replid'),
    ]);
    expect(redis.epochOf(`{${tag}}`)).not.toBe(former);
  });
});
