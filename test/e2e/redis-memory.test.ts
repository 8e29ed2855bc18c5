import { afterAll, beforeAll, expect, it } from 'vitest';
import { untilHolds } from '../support/eventually.ts';
import { type RedisServer, startRedisServer } from '../support/redis.ts';
import { channelManifests, type Installation, metric, startInstallation, virtualKey } from './installation.ts';

let redis: RedisServer;
let installation: Installation;
let key: string;

beforeAll(async () => {
  redis = await startRedisServer({ configuration: 'maxmemory-policy allkeys-lru' });
  const settings = { KEYWRIGHT_REDIS_URL: redis.url };
  installation = await startInstallation({ proxies: 1, operator: settings, proxy: settings });
  await installation.apply(channelManifests(installation.provider));
  await installation.apply(virtualKey('app', '{ limits: { rpm: 1000 }, budgets: [{ period: Total, limit: "100" }] }'));
  key = await installation.deliveredKey('app');
});
afterAll(async () => {
  await installation?.stop();
  await redis?.stop();
});

async function call(): Promise<readonly [status: number, degraded: string | null]> {
  const answer = await fetch(`${installation.proxies[0]?.address}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}],"max_tokens":20}',
  });
  await answer.arrayBuffer();
  return [answer.status, answer.headers.get('x-keywright-degraded')];
}

async function readiness(): Promise<readonly [status: number, text: string]> {
  const answer = await fetch(`${installation.operator.admin}/readyz`);
  return [answer.status, await answer.text()];
}

it('a Redis that throws keys away is told of by operator and proxy, until it is set right', async () => {
  const [proxy] = installation.proxies;
  if (proxy === undefined) throw new Error('no proxy');
  await untilHolds(async () => {
    expect(await readiness()).toEqual([503, expect.stringContaining('maxmemory-policy')]);
    expect(await metric(proxy, 'keywright_redis_eviction_possible')).toEqual([1]);
  });
  await redis.cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
  await untilHolds(
    async () => {
      expect((await readiness())[0]).toBe(200);
      expect(await metric(proxy, 'keywright_redis_eviction_possible')).toEqual([0]);
    },
    { withinMs: 60_000 },
  );
});

it('a Redis that is full is no client’s fault: the policy decides until there is room, without a restart', async () => {
  await untilHolds(async () => expect(await call()).toEqual([200, null]));
  await redis.cli('CONFIG', 'SET', 'maxmemory', '1');
  const full = [];
  for (let turn = 0; turn < 20; turn += 1) full.push(await call());
  expect(new Set(full.map(([status]) => status))).toEqual(new Set([200]));
  expect(full.at(-1)?.[1]).toBe('limits');
  await redis.cli('CONFIG', 'SET', 'maxmemory', '0');
  await untilHolds(async () => expect(await call()).toEqual([200, null]), { withinMs: 60_000 });
});
