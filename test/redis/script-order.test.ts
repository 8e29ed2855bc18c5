import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import type { RedisNodes } from '../../runtime/redis-command.ts';
import { openRedis } from '../../runtime/redis-open.ts';
import { makeRedisScript, type RedisScript, runScripts } from '../../runtime/redis-script.ts';
import { eventually } from '../support/eventually.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

const first = makeRedisScript("return redis.call('RPUSH', KEYS[1], 'first ' .. ARGV[1])");
const second = makeRedisScript("return redis.call('RPUSH', KEYS[1], 'second ' .. ARGV[1])");
const noteOf = (script: RedisScript, text: string) => ({ script, keyCount: 1, parameters: ['notes', text] });

let server: TestRedis;
let redis: RedisNodes;

beforeAll(async () => {
  server = await startRedis();
  redis = openRedis({ url: hide(server.url), name: 'test', log: makeLog({ level: 'silent', name: 'test' }), random: Math.random });
  await eventually(() => redis.ready);
});
afterAll(async () => {
  redis.close();
  await server.stop();
});
beforeEach(async () => {
  await server.cli('FLUSHALL');
  await server.cli('SCRIPT', 'FLUSH');
});

it.each([
  ['none', []],
  ['the first', [first]],
  ['the second', [second]],
])('calls of two scripts are run in their order, of which Redis knows %s', async (_what, known) => {
  for (const { source } of known) await server.cli('SCRIPT', 'LOAD', source);
  const results = await runScripts(redis, [noteOf(first, 'a'), noteOf(second, 'b'), noteOf(first, 'c'), noteOf(second, 'd')]);
  expect(results.map(({ status }) => status)).toEqual(results.map(() => 'fulfilled'));
  expect(await server.cli('LRANGE', 'notes', '0', '-1')).toEqual(['first a', 'second b', 'first c', 'second d']);
});
