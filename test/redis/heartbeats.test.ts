import { afterEach, describe, expect, it } from 'vitest';
import { heartbeatEndsKey, heartbeatsKey } from '../../core/heartbeat.ts';
import { followHeartbeats, type Heartbeats } from '../../operator/revocation/heartbeats.ts';
import { type ProxyHeartbeat, startHeartbeat } from '../../proxy/snapshot/heartbeat.ts';
import { systemClock } from '../../runtime/clock.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { makeRedisLink, type RedisLink } from '../../runtime/redis-link.ts';
import { untilHolds } from '../support/eventually.ts';
import { useRedis } from '../support/use-redis.ts';

const redis = useRedis();
let ends: (() => Promise<void> | void)[] = [];
const log = makeLog({ level: 'silent', name: 'test' });
const [old, fresh] = ['00000000ffff', '11111111ffff'];
const shard = { epoch: 1, bucket: 1, revision: fresh };

afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

function startLink(): RedisLink {
  const link = makeRedisLink({ url: hide(redis.url), name: 'test', random: Math.random, log });
  ends.push(() => link.close());
  return link;
}

interface TestProxy {
  readonly heartbeat: ProxyHeartbeat;
  readonly link: RedisLink;
  /** the revision of its second bucket */
  has(revision: string | undefined): void;
}

function startProxy(name: string, revision: string | null = old): TestProxy {
  let current: string | undefined = revision ?? undefined;
  const metrics = makeMetrics();
  const link = startLink();
  const inForce = () => (current === undefined ? undefined : { epoch: 1, revisions: [old, current] });
  const heartbeat = startHeartbeat({ link, proxy: name, inForce, clock: systemClock, log, metrics });
  ends.push(
    () => metrics.close(),
    () => heartbeat.stop(),
  );
  return {
    heartbeat,
    link,
    has(next) {
      current = next;
      heartbeat.changed();
    },
  };
}

function startLeader(): Heartbeats {
  const metrics = makeMetrics();
  const heartbeats = followHeartbeats({ link: startLink(), clock: systemClock, log, metrics });
  ends.push(
    () => metrics.close(),
    () => heartbeats.stop(),
  );
  return heartbeats;
}

const until = (check: () => unknown): Promise<void> => untilHolds(check);

describe('heartbeats of proxies', () => {
  it('tell when every living proxy has what was published, at once', async () => {
    const [first, second] = [startProxy('one'), startProxy('two')];
    const leader = startLeader();
    await until(() => expect(leader.settlementOf(shard)).toBe('waiting'));
    await until(() => expect(first.heartbeat.living()).toBe(2));
    first.has(fresh);
    await until(() => expect(leader.settlementOf({ ...shard, bucket: 0, revision: old })).toBe('settled'));
    expect(leader.settlementOf(shard)).toBe('waiting');
    let told = 0;
    leader.onChange(() => void (told += leader.settlementOf(shard) === 'settled' ? 1 : 0));
    second.has(fresh);
    await until(() => expect(told).toBeGreaterThan(0));
  });

  it('of a proxy that vanished are waited for no longer than they last, and of one that says goodbye not at all', async () => {
    const [gone, leaving, staying] = [startProxy('gone'), startProxy('leaving'), startProxy('staying', fresh)];
    const leader = startLeader();
    await until(() => expect(staying.heartbeat.living()).toBe(3));
    await leaving.heartbeat.stop();
    expect(await redis.cli('HEXISTS', heartbeatsKey, 'leaving')).toBe(0);
    await gone.link.close();
    expect(leader.settlementOf(shard)).toBe('waiting');
    await until(() => expect(leader.settlementOf(shard)).toBe('settled'));
    await until(async () => expect(await redis.cli('HKEYS', heartbeatsKey)).toEqual(['staying']));
    expect(await redis.cli('ZRANGE', heartbeatEndsKey, '0', '-1')).toEqual(['staying']);
  });

  it('are no word of a proxy that has nothing in force yet', async () => {
    const starting = startProxy('starting', null);
    const leader = startLeader();
    startProxy('ready', fresh);
    await until(() => expect(leader.settlementOf(shard)).toBe('settled'));
    starting.has(old);
    await until(() => expect(leader.settlementOf(shard)).toBe('waiting'));
  });

  it('say nothing while Redis is away; how many live is remembered, also over its return', async () => {
    const [first] = [startProxy('one', fresh), startProxy('two', fresh)];
    const leader = startLeader();
    await until(() => expect([leader.settlementOf(shard), first.heartbeat.living()]).toEqual(['settled', 2]));
    await redis.kill();
    await until(() => expect(leader.settlementOf(shard)).toBe('unknown'));
    expect(first.heartbeat.living()).toBe(2);
    await redis.start();
    await until(() => expect(leader.settlementOf(shard)).toBe('settled'));
    expect(first.heartbeat.living()).toBe(2);
  });

  it('leave nothing behind for ever', async () => {
    startProxy('one', fresh);
    await until(async () => expect(await redis.cli('PTTL', heartbeatsKey)).toBeGreaterThan(0));
    expect(await redis.cli('PTTL', heartbeatEndsKey)).toBeGreaterThan(0);
  });
});
