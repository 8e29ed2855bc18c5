import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { budgetWindowId, toBudgetField } from '../core/budget.ts';
import { parseUsageCheckpoint } from '../core/usage-checkpoint.ts';
import { emptyUsage } from '../core/usage.ts';
import type { VirtualKey } from '../core/resources.ts';
import { UsageKeeper } from '../operator/usage/usage-keeper.ts';
import type { Admission } from '../proxy/counters/counters.ts';
import { systemClock } from '../runtime/clock.ts';
import { makeLog } from '../runtime/log.ts';
import { makeMetrics } from '../runtime/metrics.ts';
import { makeTemporaryDirectory } from '../test/support/child.ts';
import { untilHolds } from '../test/support/eventually.ts';
import { openUsage } from './open-usage.ts';

const keyId = 'team/app';
const day = toBudgetField('Daily', budgetWindowId('Daily', Date.now()));
const budgets = [{ period: 'Daily', limitNanoUsd: 1_000, shadow: false }] as const;
const log = makeLog({ level: 'silent', name: 'test' });
let virtualKey: VirtualKey = {
  apiVersion: 'keywright.dev/v1alpha1',
  kind: 'VirtualKey',
  metadata: { namespace: 'team', name: 'app' },
  spec: { budgets: [{ period: 'Daily', limit: '0.000001' }] },
};

/** One run of the process on a state folder. */
async function run(directory: string) {
  const metrics = makeMetrics();
  const settings = { redisFailurePolicy: 'LocalShare', limitMode: 'leased', replicas: 1, budgetRestore: 'Open', maxKeySeries: 10 } as const;
  const { counters, usage } = await openUsage({ settings, directory, log, metrics });
  if (usage.store === undefined) throw new Error('no store');
  const keeper = new UsageKeeper({
    ...usage,
    store: usage.store,
    pace: { readMs: 10, checkpointMs: 20 },
    bucketOf: () => 0,
    virtualKeys: () => [virtualKey],
    findKey: () => virtualKey,
    isKnown: () => true,
    tell: () => {},
    onChange: () => {},
    clock: systemClock,
    random: Math.random,
    log,
    metrics,
  });
  onTestFinished(() => metrics.close());
  let requests = 0;
  const toAdmission = (nanoUsd: number): Admission => {
    const requestId = `${process.hrtime.bigint()}-${(requests += 1)}`;
    const money = { budgets, boundNanoUsd: nanoUsd, floorNanoUsd: 0 };
    return { requestId, keyId, bearer: { uid: 'u', gen: 1, credentialId: 'c' }, windows: [], tokens: 0, money, holdMs: 30_000 };
  };
  return {
    /** a request that is let in, has flowed so far, and does not end */
    async begin(nanoUsd: number, flowedNanoUsd: number): Promise<void> {
      const admission = toAdmission(nanoUsd);
      expect(await counters.admit(admission)).toMatchObject({ outcome: 'admitted' });
      counters.renew(admission, 0, flowedNanoUsd);
    },
    /** 'admitted' or not */
    async use(nanoUsd: number): Promise<string> {
      const admission = toAdmission(nanoUsd);
      const { requestId } = admission;
      const { outcome } = await counters.admit(admission);
      if (outcome !== 'admitted') return outcome;
      const event = { requestId, keyId, dialect: 'OpenAI', status: 200, usage: emptyUsage, costNanoUsd: nanoUsd, durationMs: 1 } as const;
      counters.settle({
        requestId,
        keyId,
        windows: [],
        tokens: 0,
        concurrency: false,
        refundRequest: false,
        money: { budgets, costNanoUsd: nanoUsd },
        event,
      });
      return outcome;
    },
    end: () => keeper.stop(),
  };
}

function stored(directory: string) {
  const parsed = parseUsageCheckpoint(readFileSync(join(directory, 'usage.json'), 'utf8'));
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.checkpoint.keys.find(({ id }) => id === keyId);
}

it('what was spent survives a restart, and a crash but for the last moments', async () => {
  const directory = makeTemporaryDirectory('usage');
  const first = await run(directory);
  expect(await first.use(600)).toBe('admitted');
  await first.end();
  expect(stored(directory)).toMatchObject({ requests: 1, costNanoUsd: 600, spent: { [day]: 600 } });
  expect(statSync(join(directory, 'usage.json')).mode & 0o777).toBe(0o600);
  const second = await run(directory);
  expect(await second.use(600)).toBe('exhausted');
  expect(await second.use(300)).toBe('admitted');
  // It is never told that it ends.
  await untilHolds(() => expect(stored(directory)).toMatchObject({ requests: 2, spent: { [day]: 900 } }));
  const third = await run(directory);
  expect(await third.use(300)).toBe('exhausted');
  await Promise.all([second.end(), third.end()]);
  expect(stored(directory)).toMatchObject({ requests: 2, costNanoUsd: 900 });
});

it('what a running request has spent so far survives a crash', async () => {
  const directory = makeTemporaryDirectory('usage');
  const first = await run(directory);
  await first.begin(900, 600);
  await untilHolds(() => expect(stored(directory)).toMatchObject({ requests: 0, spent: { [day]: 600 } }));
  // the first one is never told that it ends
  const second = await run(directory);
  expect(await second.use(500)).toBe('exhausted');
  expect(await second.use(400)).toBe('admitted');
  await Promise.all([first.end(), second.end()]);
});

it('a reset by annotation holds for the counters of this process', async () => {
  const directory = makeTemporaryDirectory('usage');
  const only = await run(directory);
  expect(await only.use(1_000)).toBe('admitted');
  expect(await only.use(1)).toBe('exhausted');
  virtualKey = { ...virtualKey, metadata: { ...virtualKey.metadata, annotations: { 'keywright.dev/reset-budget': 'now' } } };
  await untilHolds(async () => expect(await only.use(400)).toBe('admitted'));
  await only.end();
  expect(stored(directory)).toMatchObject({ reset: { asked: 'now' }, spent: { [day]: 400 } });
});

it('a file that cannot be read is not written over', async () => {
  const directory = makeTemporaryDirectory('usage');
  const file = join(directory, 'usage.json');
  writeFileSync(file, '{"kind":"usage","minReader":9}');
  const only = await run(directory);
  await only.use(1);
  await only.end();
  expect(readFileSync(file, 'utf8')).toBe('{"kind":"usage","minReader":9}');
});
