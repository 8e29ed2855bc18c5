import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { channelHolder, tagOf } from '../../core/hash-tag.ts';
import { windowKey } from '../../core/limit-keys.ts';
import { type LimitBoard, type LimitQuestion, makeRedisLimitBoard } from '../../operator/usage/limit-board.ts';
import type { Admission, LimitWindow } from '../../proxy/counters/counters.ts';
import { makeRedisCounters } from '../../proxy/counters/redis.ts';
import type { SharedCounters } from '../../proxy/counters/shared-counters.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { makeRedisLink, type RedisLink } from '../../runtime/redis-link.ts';
import { eventually } from '../support/eventually.ts';
import { startRedisServer, type TestRedis } from '../support/redis.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';

const log = makeLog({ level: 'silent', name: 'test' });
const minute = 60_000;
const rpm: LimitWindow = { name: 'rpm', unit: 'requests', span: 'minute', limit: 1_000, shadow: false };
const tpm: LimitWindow = { name: 'tpm:gpt-4o mini*', unit: 'tokens', span: 'minute', limit: 1_000_000, shadow: false };
const rpd: LimitWindow = { name: 'rpd', unit: 'requests', span: 'day', limit: 10_000, shadow: true };
const windows = [rpm, tpm, rpd];
const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
let ends: (() => Promise<void> | void)[] = [];
let requests = 0;

afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

async function connect(url: string): Promise<RedisLink> {
  const link = makeRedisLink({ url: hide(url), name: 'test', random: Math.random, log });
  ends.push(() => link.close());
  await eventually(() => link.connected);
  return link;
}

/** The counters of a proxy; a busy machine must not turn a slow answer into one of the local share. */
async function startCounters(url: string, redisClock?: () => number): Promise<SharedCounters> {
  const metrics = makeMetrics();
  const counters = makeRedisCounters({
    url,
    log,
    metrics,
    replicas: 1,
    remembers: false,
    now: redisClock ?? Date.now,
    deadlineMs: 5_000,
    limitMode: 'strict',
    ...(redisClock && { redisClock }),
  });
  await counters.ready(5_000);
  ends.push(async () => {
    await counters.close();
    metrics.close();
  });
  return counters;
}

function toAdmission(keyId: string, tokens: number, subject?: 'channel'): Admission {
  requests += 1;
  const given = { requestId: `used-${requests}`, keyId, windows, tokens, concurrency: { limit: 1_000, shadow: false }, holdMs: 30_000 };
  return subject === undefined ? { ...given, bearer } : { ...given, subject };
}

const ask = (holder: string): LimitQuestion => ({ holder, windows, slots: true });

describe('the used share of limits in Redis', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedisServer();
  });
  afterAll(() => redis.stop());
  beforeEach(async () => void (await redis.cli('FLUSHALL')));

  it('is what the proxies count by, at any moment of their life', async () => {
    let nowMs = Math.ceil(Date.now() / minute) * minute + 3_600_000;
    const counters = await startCounters(redis.url, () => nowMs);
    const board = makeRedisLimitBoard(await connect(redis.url), () => String(nowMs));
    const keyIds = ['team/a', 'team/b', 'other/c'];
    const running: Admission[] = [];
    let seed = 11;
    const seen = new Set<number>();
    for (let turn = 0; turn < 250; turn += 1) {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      const keyId = keyIds[seed % keyIds.length] ?? '';
      const admission = toAdmission(keyId, seed % 500);
      expect(await counters.admit(admission)).toMatchObject({ outcome: 'admitted' });
      running.push(admission);
      if (seed % 3 !== 0) {
        const [ended] = running.splice(seed % running.length, 1);
        if (ended !== undefined) {
          const { requestId, keyId: of } = ended;
          counters.settle({ requestId, keyId: of, windows, tokens: seed % 700, concurrency: true, refundRequest: seed % 7 === 0 });
        }
        await counters.flush();
      }
      // now and then an hour goes by, or a failover sets the clock back
      nowMs += seed % 29 === 0 ? 3_600_000 : seed % 31 === 0 ? -10_000 : seed % 5_000;
      const readings = await board.read([...keyIds, 'team/never'].map(ask));
      for (const [index, id] of keyIds.entries()) {
        const peek = await counters.peek({ keyId: id, windows, concurrency: { limit: 1_000, shadow: false } });
        if (peek.outcome !== 'known') throw new Error('the store is away');
        expect(readings[index]).toEqual({ used: peek.windows.map(({ used }) => used), inFlight: peek.inFlight });
        for (const figure of readings[index]?.used ?? []) seen.add(figure);
      }
      expect(readings[3]).toEqual({ used: [0, 0, 0], inFlight: 0 });
    }
    expect(seen.size).toBeGreaterThan(100);
  });

  it('is read of a Channel beside a key of the same name, and of more than one call holds, in the order of the question', async () => {
    const counters = await startCounters(redis.url);
    const board = makeRedisLimitBoard(await connect(redis.url));
    await counters.admit(toAdmission('team/a', 10, 'channel'));
    const ids = Array.from({ length: 60 }, (_, number) => `n${number % 7}/k-${number}`);
    for (const [number, keyId] of ids.entries())
      for (let times = 0; times < number % 4; times += 1) await counters.admit(toAdmission(keyId, 1));
    const readings = await board.read([ask('team/a'), ...ids.map(ask), ask(channelHolder('team/a'))]);
    expect(readings.map((reading) => reading?.inFlight)).toEqual([0, ...ids.map((_, number) => number % 4), 1]);
    expect(readings.map((reading) => reading?.used[0])).toEqual([0, ...ids.map((_, number) => number % 4), 1]);
    const withoutSlots = await board.read([
      { ...ask(channelHolder('team/a')), slots: false },
      { holder: 'n3/k-3', windows: [], slots: true },
    ]);
    expect(withoutSlots).toEqual([
      { used: [1, 10, 1], inFlight: 0 },
      { used: [], inFlight: 3 },
    ]);
    expect(await board.read([])).toEqual([]);
  });

  it('is read again when Redis has forgotten the script', async () => {
    const counters = await startCounters(redis.url);
    const board = makeRedisLimitBoard(await connect(redis.url));
    await counters.admit(toAdmission('team/a', 10));
    for (let turn = 0; turn < 2; turn += 1) {
      expect(await board.read([ask('team/a')])).toMatchObject([{ used: [1, 10, 1], inFlight: 1 }]);
      await redis.cli('SCRIPT', 'FLUSH', 'SYNC');
    }
  });

  it('is for the operator of the documentation to read and not to change; who may not read it is told so', async () => {
    const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'redis.md'), 'utf8');
    const rule = /^ACL SETUSER operator (.*)$/m.exec(page)?.[1] ?? '';
    await redis.cli('ACL', 'SETUSER', 'operator', ...rule.replace('PASSWORD', 'secret').split(' '));
    const counters = await startCounters(redis.url);
    await counters.admit(toAdmission('team/a', 10));
    const link = await connect(redis.url.replace('redis://', 'redis://operator:secret@'));
    await redis.cli('ACL', 'LOG', 'RESET');
    expect(await makeRedisLimitBoard(link).read([ask('team/a')])).toMatchObject([{ used: [1, 10, 1], inFlight: 1 }]);
    expect(await redis.cli('ACL', 'LOG')).toEqual([]);
    const key = windowKey('team/a', rpm);
    for (const command of [['HSET', key, 'h', 'x'] as const, ['EVAL', "return redis.call('HSET', KEYS[1], 'h', 'x')", '1', key] as const])
      await expect(link.send([command])).rejects.toThrow('NOPERM');
    await redis.cli('ACL', 'SETUSER', 'operator', '-evalsha_ro');
    await expect(makeRedisLimitBoard(link).read([ask('team/a')])).rejects.toThrow('NOPERM');
  });

  it('is unknown while Redis is away', async () => {
    const server = await startRedisServer();
    ends.push(() => server.stop());
    const link = await connect(server.url);
    const board = makeRedisLimitBoard(link);
    await server.stop();
    await eventually(() => !link.connected);
    expect([board.connected, await board.read([ask('team/a'), ask('team/b')])]).toEqual([false, [undefined, undefined]]);
  });
});

describe('in a Redis Cluster', () => {
  it('the used share is read of the keys on every master, and while one is away of those on the others', { timeout: 90_000 }, async () => {
    const cluster = await startRedisCluster();
    ends.push(() => cluster.stop());
    const counters = await startCounters(cluster.url);
    const board = makeRedisLimitBoard(await connect(cluster.url));
    const keyIds = Array.from({ length: 40 }, (_, number) => `n${number}/app`);
    for (const keyId of keyIds) await eventually(async () => (await counters.admit(toAdmission(keyId, 1))).outcome === 'admitted');
    const inFlight = async (of: LimitBoard) => (await of.read(keyIds.map(ask))).map((reading) => reading?.inFlight);
    expect(await inFlight(board)).toEqual(keyIds.map(() => 1));
    const lost = await cluster.masterOf(tagOf('n0/app'));
    const owners = await Promise.all(keyIds.map(async (keyId) => (await cluster.masterOf(tagOf(keyId))) === lost));
    expect(new Set(owners)).toEqual(new Set([true, false]));
    await lost.kill();
    await expect.poll(() => inFlight(board), { timeout: 30_000 }).toEqual(owners.map((isLost) => (isLost ? undefined : 1)));
  });
});
