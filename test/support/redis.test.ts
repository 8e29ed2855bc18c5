import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { startRedis, type TestRedis } from './redis.ts';
import { startRelay } from './relay.ts';

const started: TestRedis[] = [];
const clients: Redis[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.disconnect();
  for (const redis of started.splice(0)) await redis.stop();
});

async function start(): Promise<TestRedis> {
  const redis = await startRedis();
  started.push(redis);
  return redis;
}

function connect(url: string): Redis {
  const client = new Redis(url, { maxRetriesPerRequest: 0, commandTimeout: 500, retryStrategy: () => null });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

test('a killed Redis refuses, and comes back under the same URL', async () => {
  const redis = await start();
  expect(await connect(redis.url).ping()).toBe('PONG');
  await redis.kill();
  await expect(connect(redis.url).ping()).rejects.toThrow();
  await redis.start();
  expect(await connect(redis.url).ping()).toBe('PONG');
});

test('a paused Redis does not answer until it is resumed', async () => {
  const redis = await start();
  const client = connect(redis.url);
  await client.ping();
  await redis.pause();
  await expect(client.ping()).rejects.toThrow('Command timed out');
  await redis.resume();
  expect(await connect(redis.url).ping()).toBe('PONG');
});

test('cli gives raw answers', async () => {
  const redis = await start();
  await redis.cli('HSET', 'key', 'field', '1');
  expect(await redis.cli('HGETALL', 'key')).toEqual(['field', '1']);
});

test('the relay in front of REDIS_URL is cut, restored and paused like a server', async () => {
  const redis = await start();
  const relay = await startRelay('127.0.0.1', Number(new URL(redis.url).port));
  const url = `redis://127.0.0.1:${relay.port}`;
  const client = connect(url);
  expect(await client.ping()).toBe('PONG');
  relay.pause();
  await expect(client.ping()).rejects.toThrow('Command timed out');
  relay.resume();
  expect(await client.ping()).toBe('PONG');
  await relay.cut();
  await expect(connect(url).ping()).rejects.toThrow();
  await relay.restore();
  expect(await connect(url).ping()).toBe('PONG');
  await relay.close();
});
