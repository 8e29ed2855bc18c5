import { afterAll, beforeAll, describe } from 'vitest';
import { hide } from '../../runtime/environment.ts';
import { type StoreUnderTest, toMakeCounters } from '../../test/support/counters-under-test.ts';
import { type RedisServer, startRedisServer } from '../../test/support/redis.ts';
import { startRedisCluster, type TestRedisCluster } from '../../test/support/redis-cluster.ts';
import { startRedisSentinel, type TestRedisSentinel } from '../../test/support/redis-sentinel.ts';
import { makeTlsOfRedis, type TlsOfRedis } from '../../test/support/redis-tls.ts';
import { describeCounters, type MakeCounters } from './contract.ts';
import { describeMoney } from './contract-money.ts';
import { describePeek } from './peek-contract.ts';

function toStore(server: RedisServer, options: StoreUnderTest['options']): StoreUnderTest {
  const cli = server.cli;
  return {
    options,
    cli,
    keys: async () => (await cli('KEYS', '*')) as string[],
    flush: () => cli('FLUSHALL'),
    contentOf: (key) => cli('DUMP', key),
  };
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
    toMakeCounters(() => ({ ...cluster, options: { url: cluster.url }, contentOf: (key: string) => cluster.cli('DUMP', key) })),
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
    toMakeCounters(() => {
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
    toMakeCounters(() => toStore(server, { url: server.url, caFile: tls.caFile })),
  );
});
