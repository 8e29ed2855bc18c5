import { afterAll, beforeAll, describe } from 'vitest';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { forgetCounts, toCounts } from '../../test/support/forget-counts.ts';
import { type RedisServer, startRedisServer } from '../../test/support/redis.ts';
import { startRedisCluster, type TestRedisCluster } from '../../test/support/redis-cluster.ts';
import { startRedisSentinel, type TestRedisSentinel } from '../../test/support/redis-sentinel.ts';
import { makeTlsOfRedis, type TlsOfRedis } from '../../test/support/redis-tls.ts';
import { describeCounters, type MakeCounters } from './contract.ts';
import { describeMoney } from './contract-money.ts';
import { describePeek } from './peek-contract.ts';
import { makeRedisCounters, type RedisCountersOptions } from './redis.ts';

/** A topology as the suite sees it: how it is reached, and all that is in it. */
interface Store {
  readonly options: Pick<RedisCountersOptions, 'url' | 'caFile' | 'sentinelPassword'>;
  keys(): Promise<string[]>;
  cli(...command: string[]): Promise<unknown>;
  flush(): Promise<unknown>;
}

function toMake(store: () => Store): MakeCounters {
  return async ({ now, random }) => {
    const { options, keys, cli, flush } = store();
    await flush();
    const metrics = makeMetrics();
    const log = makeLog({ level: 'silent', name: 'test' });
    const counters = makeRedisCounters({
      ...options,
      log,
      metrics,
      replicas: 1,
      remembers: false,
      now,
      random,
      redisClock: now,
      deadlineMs: 5_000,
      // there is no operator here: a budget that is new to Redis opens at once
      restoreTimes: { giveUpMs: 0, listenMs: 0, askEveryMs: 250, pollMs: 1 },
    });
    await counters.ready(5_000);
    return {
      counters,
      async dump() {
        const listed = toCounts(await keys());
        return Object.fromEntries(await Promise.all(listed.map(async (key) => [key, await cli('DUMP', key)] as const)));
      },
      reset: () => forgetCounts({ keys, cli }),
      async close() {
        await counters.close();
        metrics.close();
      },
    };
  };
}

function toStore(server: RedisServer, options: Store['options']): Store {
  const cli = server.cli;
  return { options, cli, keys: async () => (await cli('KEYS', '*')) as string[], flush: () => cli('FLUSHALL') };
}

/** Everything that counters have to do, on a topology of Redis. */
function describeAll(name: string, make: MakeCounters): void {
  describeCounters(name, make, { runs: 10 });
  describePeek(name, make);
  describeMoney(name, make, { runs: 10 });
}

describe('on a Redis Cluster', () => {
  let cluster: TestRedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster();
  });
  afterAll(() => cluster.stop());
  describeAll(
    'Redis Cluster',
    toMake(() => ({ ...cluster, options: { url: cluster.url } })),
  );
});

describe('behind Sentinels, with passwords and TLS', () => {
  let sentinel: TestRedisSentinel;
  let tls: TlsOfRedis;
  beforeAll(async () => {
    tls = await makeTlsOfRedis();
    sentinel = await startRedisSentinel({ tls });
  });
  afterAll(() => sentinel.stop());
  describeAll(
    'Redis Sentinel',
    toMake(() => {
      const { url, redises, sentinelPassword } = sentinel;
      return toStore(redises[0], { url, caFile: tls.caFile, sentinelPassword: hide(sentinelPassword) });
    }),
  );
});

describe('over TLS', () => {
  let server: RedisServer;
  let tls: TlsOfRedis;
  beforeAll(async () => {
    tls = await makeTlsOfRedis();
    server = await startRedisServer({ ca: tls.authority, configuration: tls.configuration, password: 'pw' });
  });
  afterAll(() => server.stop());
  describeAll(
    'Redis with TLS',
    toMake(() => toStore(server, { url: server.url, caFile: tls.caFile })),
  );
});
