import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilHolds } from '../support/eventually.ts';
import { startRedisServer, type TestRedis } from '../support/redis.ts';
import { type Gateway, manifestsFor, startGateway } from './gateway.ts';

/** A busy machine is no failure: what is told comes with the next look, whenever that is. */
const patience = { withinMs: 30_000 };
const keys = {
  // a key with a limit of concurrency is never leased: what counts are its requests
  app: '{ limits: { rpm: 600, rpd: 1000, concurrency: 5, models: [{ model: "gpt-*", tpd: 1000000 }] }, budgets: [{ period: Total, limit: "100" }] }',
  once: '{ limits: { rpd: 1 } }',
};
let gateway: Gateway;

/** Series → value, without the prefix; a series stands there once. */
async function read(): Promise<Map<string, number>> {
  const text = await (await fetch(`${gateway.admin}/metrics`)).text();
  const seen = new Map<string, number>();
  for (const line of text.split('\n').filter((each) => each.startsWith('keywright_'))) {
    const series = line.slice(10, line.lastIndexOf(' '));
    if (seen.has(series)) throw new Error(`${series} stands there twice`);
    seen.set(series, Number(line.slice(line.lastIndexOf(' ') + 1)));
  }
  return seen;
}

async function call(name: keyof typeof keys, times: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let turn = 0; turn < times; turn += 1) {
    const answer = await fetch(`${gateway.address}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await gateway.key(name)}`, 'content-type': 'application/json' },
      body: '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}],"max_tokens":20}',
    });
    await answer.arrayBuffer();
    statuses.push(answer.status);
  }
  return statuses;
}

/** At least so much, or exactly that: series → value. */
async function untilSeen(atLeast: Record<string, number>, exactly: Record<string, number> = {}): Promise<void> {
  await untilHolds(async () => {
    const seen = await read();
    const low = Object.entries(atLeast).filter(([series, value]) => !((seen.get(series) ?? -Infinity) >= value));
    expect(Object.fromEntries(low.map(([series]) => [series, seen.get(series)]))).toEqual({});
    expect(Object.fromEntries(Object.keys(exactly).map((series) => [series, seen.get(series)]))).toEqual(exactly);
  }, patience);
}

const ofAccounts = {
  atLeast: {
    'budget_spent_usd{key="default/app",period="Total"}': 1e-9,
    'usage_entries_total{outcome="counted"}': 5,
    'usage_checkpoints_total{outcome="written"}': 1,
  },
  exactly: {
    'budget_limit_usd{key="default/app",period="Total"}': 100,
    usage_stream_lag: 0,
    'limit_utilization_ratio{key="default/app",limit="rpd"}': 0.004,
    'limit_utilization_ratio{key="default/app",limit="concurrency"}': 0,
    'limit_utilization_ratio{key="default/once",limit="rpd"}': 1,
    'requests_total{namespace="default",key="default/app",status_class="2xx"}': 4,
    'refusals_total{key="default/once",reason="rate_limit_exceeded"}': 2,
  },
};
const ofModel = 'limit_utilization_ratio{key="default/app",limit="tpd:gpt-*"}';

async function start(redisUrl?: string): Promise<void> {
  gateway = await startGateway({
    ...(redisUrl !== undefined && { redisUrl }),
    behaviour: () => ({ usage: { input: 20, output: 5 } }),
    manifests: (provider) => manifestsFor(provider, keys, '  limits: { concurrency: 50, rpm: 100000 }\n'),
  });
  expect(await call('app', 4)).toEqual([200, 200, 200, 200]);
  expect(await call('once', 3)).toEqual([200, 429, 429]);
}

describe('a gateway that counts in Redis', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedisServer();
    await start(redis.url);
  });
  afterAll(async () => {
    await gateway?.stop();
    await redis?.stop();
  });

  it('tells how limits and budgets stand, and what was used', async () => {
    await untilSeen({ ...ofAccounts.atLeast, [ofModel]: 0.0001 }, { ...ofAccounts.exactly, [ofModel]: 0.0001 });
    await untilSeen({ 'channel_limit_utilization_ratio{channel="default/openai",limit="concurrency"}': 0 });
  });

  it('tells by whom requests were decided, and what that cost', async () => {
    await untilSeen(
      {
        'limiter_admissions_total{by="redis"}': 6,
        'limiter_admissions_total{by="block"}': 1,
        'limiter_commands_total{command="admit"}': 1,
        'limiter_commands_total{command="settle"}': 1,
        limiter_duration_seconds_count: 6,
        limiter_duration_seconds_sum: 1e-6,
      },
      { settle_queue_depth: 0, limiter_degraded: 0, 'limiter_node_degraded{node="all"}': 0, redis_eviction_possible: 0 },
    );
  });

  it('tells what is published and in force', async () => {
    await untilSeen(
      {
        'publish_total{outcome="written"}': 1,
        publish_duration_seconds_count: 1,
        snapshot_bytes: 100,
        snapshot_age_seconds: 0,
        snapshot_apply_lag_seconds_count: 1,
        'reconcile_total{kind="VirtualKey"}': 2,
        'reconcile_duration_seconds_count{kind="VirtualKey"}': 2,
        'workqueue_adds_total{name="reconcile"}': 2,
      },
      {
        snapshot_keys: 2,
        snapshot_held_keys: 2,
        snapshot_watch_connected: 1,
        snapshot_incompatible: 0,
        snapshot_locked: 0,
        'virtualkeys{phase="Active"}': 2,
        'channels{ready="true"}': 2,
      },
    );
    expect([...(await read()).keys()].filter((series) => series.startsWith('snapshot_revision_info{epoch='))).toHaveLength(1);
  });

  it('tells that the failure policy decides while Redis is away, and nothing of what only Redis knows', async () => {
    await redis.kill();
    await untilSeen({}, { limiter_degraded: 1, 'limiter_node_degraded{node="all"}': 1 });
    expect(await call('app', 2)).toEqual([200, 200]);
    await untilSeen({ 'limiter_admissions_total{by="policy"}': 2 });
    const isUtilization = (series: string): boolean => series.includes('limit_utilization_ratio');
    await untilHolds(async () => expect([...(await read()).keys()].filter(isUtilization)).toEqual([]), patience);
    expect((await read()).get('budget_limit_usd{key="default/app",period="Total"}')).toBe(100);
    await redis.start();
    await untilSeen({}, { limiter_degraded: 0, 'limiter_node_degraded{node="all"}': 0, settle_queue_depth: 0 });
    // what was admitted meanwhile is told to it
    await untilSeen({ 'limit_utilization_ratio{key="default/app",limit="rpd"}': 0.002 });
  });
});

describe('a gateway that counts by itself', () => {
  beforeAll(() => start());
  afterAll(() => gateway?.stop());

  it('tells the same of limits, budgets and usage', async () => {
    await untilSeen({ ...ofAccounts.atLeast, [ofModel]: 0.0001 }, { ...ofAccounts.exactly, [ofModel]: 0.0001 });
    await untilSeen({ 'channel_limit_utilization_ratio{channel="default/openai",limit="concurrency"}': 0 });
  });
});
