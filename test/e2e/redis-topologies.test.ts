import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { tagOf } from '../../core/hash-tag.ts';
import type { VirtualKey } from '../../core/resources.ts';
import { usageSecretType } from '../../core/usage-checkpoint.ts';
import type { SecretObject } from '../../operator/cluster/cluster.ts';
import { parseUsageSecret } from '../../operator/usage/usage-secrets.ts';
import { untilHolds } from '../support/eventually.ts';
import { startRedisServer, type TestRedis } from '../support/redis.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { startRedisSentinel } from '../support/redis-sentinel.ts';
import { channelManifests, type Installation, type RunningProcess, startInstallation, untilStatus, virtualKey } from './installation.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

type Settings = Readonly<Record<string, string>>;

interface Topology {
  readonly operator: Settings;
  readonly proxy: Settings;
  /** what is kept for this tag is gone, or with a successor */
  fail(tag: string): Promise<void>;
  /** at the end */
  check?(): Promise<void>;
}

/** The user as the documentation makes it, word by word; gives its address. */
async function makeUser(redis: TestRedis, name: string): Promise<Settings> {
  const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'redis.md'), 'utf8');
  const rule = new RegExp(`^ACL SETUSER (${name} .*)$`, 'm').exec(page)?.[1];
  if (rule === undefined) throw new Error(`docs/redis.md shows no ACL user ${name}`);
  const url = new URL(redis.url);
  Object.assign(url, { username: name, password: randomUUID() });
  await redis.cli('ACL', 'SETUSER', ...rule.replace('PASSWORD', url.password).split(' '));
  return { KEYWRIGHT_REDIS_URL: url.href };
}

const topologies: Readonly<Record<string, () => Promise<Topology>>> = {
  async 'a Redis whose users have few rights'() {
    const redis = await startRedisServer();
    ends.push(() => redis.stop());
    const [operator, proxy] = [await makeUser(redis, 'operator'), await makeUser(redis, 'proxy')];
    await redis.cli('ACL', 'LOG', 'RESET');
    return {
      operator,
      proxy,
      // it comes back empty, so that both have to tell what they know
      fail: async () => void (await redis.cli('FLUSHALL')),
      check: async () => expect(await redis.cli('ACL', 'LOG')).toEqual([]),
    };
  },
  async Sentinel() {
    const sentinel = await startRedisSentinel();
    ends.push(() => sentinel.stop());
    const settings = { KEYWRIGHT_REDIS_URL: sentinel.url, KEYWRIGHT_REDIS_SENTINEL_PASSWORD: sentinel.sentinelPassword };
    return { operator: settings, proxy: settings, fail: async () => (await sentinel.master()).kill() };
  },
  async Cluster() {
    const cluster = await startRedisCluster({ masters: 3, replicas: 3, nodeTimeoutMs: 2_500 });
    ends.push(() => cluster.stop());
    const settings = { KEYWRIGHT_REDIS_URL: cluster.url };
    return { operator: settings, proxy: settings, fail: async (tag) => (await cluster.masterOf(tag)).kill() };
  },
};

async function call(proxy: RunningProcess | undefined, key: string): Promise<Response> {
  const answer = await fetch(`${proxy?.address}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}],"max_tokens":20}',
  });
  await answer.arrayBuffer();
  return answer;
}

/** At both proxies by turns, one after the other. */
async function callByTurns({ proxies }: Installation, key: string, times: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let turn = 0; turn < times; turn += 1) statuses.push((await call(proxies[turn % 2], key)).status);
  return statuses;
}

/** As it is written down, once a minute. */
async function countedRequests({ kubectl }: Installation, keyId: string): Promise<number | undefined> {
  const text = await kubectl('get', 'secrets', '-n', 'keywright-system', '--field-selector', `type=${usageSecretType}`, '-o', 'json');
  const parsed = (JSON.parse(text) as { items: SecretObject[] }).items.map(parseUsageSecret);
  return parsed.flatMap((result) => (result.ok ? result.checkpoint.keys : [])).find(({ id }) => id === keyId)?.requests;
}

it.each(Object.keys(topologies))(
  'operator and proxies keep limits, budgets, usage and revocations on %s, and over its failure',
  async (name) => {
    const topology = await topologies[name]?.();
    if (topology === undefined) throw new Error('no such topology');
    const { operator, proxy, fail, check } = topology;
    const installation = await startInstallation({ proxies: 2, operator, proxy });
    ends.push(() => installation.stop());
    await installation.apply(channelManifests(installation.provider));
    const specs = {
      limited: '{ limits: { rpm: 10, rpd: 1000 } }',
      paying: '{ limits: { concurrency: 50 }, budgets: [{ period: Total, limit: "100" }] }',
      ended: '{}',
      lasting: '{ limits: { rpm: 100000 }, budgets: [{ period: Total, limit: "100" }] }',
    };
    for (const [key, spec] of Object.entries(specs)) await installation.apply(virtualKey(key, spec));
    const keys = new Map<string, string>();
    for (const key of Object.keys(specs)) keys.set(key, await installation.deliveredKey(key));
    const keyOf = (key: string): string => keys.get(key) ?? '';

    const limited = await callByTurns(installation, keyOf('limited'), 16);
    expect(limited.filter((status) => status === 200)).toHaveLength(10);
    expect(new Set(limited)).toEqual(new Set([200, 429]));

    expect(await callByTurns(installation, keyOf('paying'), 6)).toEqual(Array.from({ length: 6 }, () => 200));
    await untilHolds(
      async () => {
        const { status } = JSON.parse(await installation.kubectl('get', 'vk', 'paying', '-o', 'json')) as VirtualKey;
        // a copy for people, taken every five minutes: on a busy machine the first one is of fewer
        expect(status?.usage?.requests).toBeGreaterThan(0);
        expect(Number(status?.usage?.budgets?.[0]?.spent)).toBeGreaterThan(0);
        expect(await countedRequests(installation, 'default/paying')).toBe(6);
      },
      { withinMs: 90_000 },
    );

    // what counts for a day does not depend on when it is looked at; with few rights the operator may read it
    await untilHolds(
      async () => {
        const text = await (await fetch(`${installation.operator.admin}/metrics`)).text();
        expect(text).toContain('keywright_limit_utilization_ratio{key="default/limited",limit="rpd"} 0.01\n');
        expect(text).toMatch(/^keywright_limit_utilization_ratio\{key="default\/limited",limit="rpm"\} [01]/m);
        expect(text).toContain('keywright_limit_utilization_ratio{key="default/paying",limit="concurrency"} 0\n');
      },
      { withinMs: 90_000 },
    );

    await installation.kubectl('annotate', 'vk', 'paying', 'keywright.dev/reset-budget=now');
    await untilHolds(
      async () => {
        const answer = await fetch(`${installation.proxies[1]?.address}/v1/keys/self`, { headers: { 'x-api-key': keyOf('paying') } });
        expect(await answer.json()).toMatchObject({ budgets: [{ spent: '0' }] });
      },
      { withinMs: 90_000 },
    );

    expect((await call(installation.proxies[0], keyOf('ended'))).status).toBe(200);
    await installation.kubectl('patch', 'vk', 'ended', '--type=merge', '-p', '{"spec":{"revoked":true}}');
    for (const each of installation.proxies) await untilStatus(each, keyOf('ended'), 403);

    await installation.kubectl('annotate', 'vk', 'lasting', 'keywright.dev/rotate=now');
    await untilHolds(async () => expect(await installation.deliveredKey('lasting')).not.toBe(keyOf('lasting')));

    // with the retiring key; while nobody holds the tag, the policy decides; clients notice nothing
    const seen: number[] = [];
    let going = true;
    const load = (async () => {
      while (going) {
        seen.push(...(await callByTurns(installation, keyOf('lasting'), 2)));
        await sleep(50);
      }
    })();
    // a proxy that has never heard of a budget lets nobody have it while Redis is away
    await untilHolds(() => expect(seen.length).toBeGreaterThanOrEqual(8));
    await fail(tagOf('default/lasting'));
    await sleep(8_000);
    going = false;
    await load;
    expect(new Set(seen)).toEqual(new Set([200]));
    await untilHolds(
      async () => {
        for (const each of installation.proxies) {
          const answer = await call(each, keyOf('lasting'));
          expect([answer.status, answer.headers.get('x-keywright-degraded')]).toEqual([200, null]);
        }
      },
      // a Sentinel that was not given its turn for two seconds does nothing for the next thirty (TILT)
      { withinMs: 240_000 },
    );
    // the operator looks into what Redis is by now
    await untilHolds(
      async () => {
        const text = await (await fetch(`${installation.operator.admin}/metrics`)).text();
        expect(text).toMatch(/^keywright_limit_utilization_ratio\{key="default\/lasting",limit="rpm"\} /m);
      },
      { withinMs: 90_000 },
    );
    // what has ended stays so
    expect((await call(installation.proxies[1], keyOf('ended'))).status).toBe(403);
    await check?.();
  },
  600_000,
);
