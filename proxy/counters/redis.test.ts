import { Redis } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { forgetCounts, toCounts } from '../../test/support/forget-counts.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { describeCounters, type MakeCounters } from './contract.ts';
import { describeMoney } from './contract-money.ts';
import { describePeek } from './peek-contract.ts';
import { makeRedisCounters } from './redis.ts';

let server: TestRedis;
let inspector: Redis;

beforeAll(async () => {
  server = await startRedis();
  inspector = new Redis(server.url);
});
afterAll(async () => {
  inspector.disconnect();
  await server.stop();
});

const make: MakeCounters = async ({ now, random }) => {
  await inspector.flushall();
  const metrics = makeMetrics();
  // a busy test machine must not turn a slow answer into one of the local share
  const counters = makeRedisCounters({
    url: server.url,
    log: makeLog({ level: 'silent', name: 'test' }),
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
    dump,
    reset: () => forgetCounts({ keys: () => inspector.keys('*'), cli: server.cli }),
    async close() {
      await counters.close();
      metrics.close();
    },
  };
};

describeCounters('Redis', make, { runs: 40 });
describePeek('Redis', make);
describeMoney('Redis', make, { runs: 40 });

/** Every key with its content; lifetimes go on by themselves and are left out, but that there is one is part of it. */
async function dump(): Promise<Record<string, unknown>> {
  const keys = toCounts(await inspector.keys('*'));
  const entries = keys.map(async (key) => [key, { mortal: (await inspector.pttl(key)) > 0, content: await contentOf(key) }] as const);
  return Object.fromEntries(await Promise.all(entries));
}

async function contentOf(key: string): Promise<unknown> {
  const type = await inspector.type(key);
  // packed numbers are not text
  if (type === 'hash') return Object.entries(await inspector.hgetallBuffer(key)).map(([field, value]) => [field, value.toString('hex')]);
  if (type === 'zset') return inspector.call('ZRANGE', key, '0', '-1', 'WITHSCORES');
  return inspector.get(key);
}
