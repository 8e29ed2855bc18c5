import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { Admission, AdmitAnswer, Counters } from '../../proxy/counters/counters.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { hide } from '../../runtime/environment.ts';
import { openUsage } from '../../standalone/open-usage.ts';
import { makeTemporaryDirectory } from '../support/child.ts';
import { untilHolds } from '../support/eventually.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

let redis: TestRedis;
let ends: (() => Promise<void> | void)[] = [];
const log = makeLog({ level: 'silent', name: 'test' });
const budgets = [{ period: 'Daily', limitNanoUsd: 1_000, shadow: false }] as const;
const windows = [{ name: 'rpm', unit: 'requests', span: 'minute', limit: 10, shadow: false }] as const;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

interface Process {
  readonly counters: Counters;
  /** those that share this Redis, as it has heard */
  living(): Promise<number>;
  admit(admission: Pick<Admission, 'keyId'> & Partial<Admission>): Promise<AdmitAnswer>;
}

/** The counters of one `keywright standalone` among several. */
async function startProcess(): Promise<Process> {
  const metrics = makeMetrics();
  const settings = {
    redisUrl: hide(redis.url),
    redisFailurePolicy: 'LocalShare',
    limitMode: 'leased',
    replicas: 1,
    budgetRestore: 'Open',
    maxKeySeries: 10,
  } as const;
  const { counters, close } = await openUsage({ settings, directory: makeTemporaryDirectory('usage'), log, metrics });
  ends.push(
    () => metrics.close(),
    close,
    () => counters.close(),
  );
  let requests = 0;
  return {
    counters,
    async living() {
      return Number(/^keywright_proxies_living (\d+)$/m.exec(await metrics.registry.metrics())?.[1]);
    },
    admit(admission) {
      const requestId = `${process.hrtime.bigint()}-${(requests += 1)}`;
      return counters.admit({ requestId, windows: [], tokens: 0, holdMs: 30_000, ...admission });
    },
  };
}

it('processes with snapshots of their own know how many they are, and share a limit while Redis is away', async () => {
  const all = await Promise.all([startProcess(), startProcess()]);
  await untilHolds(async () => expect(await Promise.all(all.map((each) => each.living()))).toEqual([2, 2]));
  await redis.kill();
  try {
    for (const each of all) {
      await untilHolds(async () => expect(await each.admit({ keyId: 'team/probe', windows })).toMatchObject({ degraded: true }));
    }
    const answers = await Promise.all(
      all.flatMap((each) => Array.from({ length: 10 }, () => each.admit({ keyId: 'team/shared', windows }))),
    );
    expect(answers.filter(({ outcome }) => outcome === 'admitted')).toHaveLength(10);
  } finally {
    await redis.start();
  }
});

it('what one process has seen of a budget is known to the others when Redis has lost it', async () => {
  const [first, second] = await Promise.all([startProcess(), startProcess()]);
  const keyId = 'team/spender';
  const money = { budgets, boundNanoUsd: 600, floorNanoUsd: 0 };
  const requestId = 'request-1';
  expect(await first.admit({ keyId, requestId, money })).toMatchObject({ outcome: 'admitted' });
  first.counters.settle({
    requestId,
    keyId,
    windows: [],
    tokens: 0,
    concurrency: false,
    refundRequest: false,
    money: { budgets, costNanoUsd: 600 },
  });
  await first.counters.flush();
  await redis.cli('FLUSHALL');
  expect(await second.admit({ keyId, money })).toMatchObject({ outcome: 'exhausted' });
});
