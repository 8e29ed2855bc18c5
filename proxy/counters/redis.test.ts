import { Redis } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import { toMakeCounters } from '../../test/support/counters-under-test.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { describeCounters } from './contract.ts';
import { describeMoney } from './contract-money.ts';
import { describePeek } from './peek-contract.ts';

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

const make = toMakeCounters(() => ({
  options: { url: server.url },
  keys: () => inspector.keys('*'),
  cli: server.cli,
  flush: () => inspector.flushall(),
  // lifetimes go on by themselves and are left out, but that there is one is part of it
  contentOf: async (key) => ({ mortal: (await inspector.pttl(key)) > 0, content: await contentOf(key) }),
}));

describeCounters('Redis', make, { runs: 40 });
describePeek('Redis', make);
describeMoney('Redis', make, { runs: 40 });

async function contentOf(key: string): Promise<unknown> {
  const type = await inspector.type(key);
  // packed numbers are not text
  if (type === 'hash') return Object.entries(await inspector.hgetallBuffer(key)).map(([field, value]) => [field, value.toString('hex')]);
  if (type === 'zset') return inspector.call('ZRANGE', key, '0', '-1', 'WITHSCORES');
  return inspector.get(key);
}
