import { afterAll, beforeAll, expect, it } from 'vitest';
import { budgetsKey, restoreChannel, toRestoreQuestion } from '../../core/budget-restore.ts';
import { toBudgetField } from '../../core/budget.ts';
import type { KeyUsage } from '../../core/key-usage.ts';
import type { VirtualKey } from '../../core/resources.ts';
import { usageSecretType } from '../../core/usage-checkpoint.ts';
import type { UsageEvent } from '../../core/usage-event.ts';
import { usageStreamOf } from '../../core/usage-stream.ts';
import { emptyUsage } from '../../core/usage.ts';
import { parseUsageSecret } from '../../operator/usage/usage-secrets.ts';
import type { SecretObject } from '../../operator/cluster/cluster.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import { type Installation, metric, type RunningProcess, startInstallation, virtualKey } from './installation.ts';
import { findChanged, readVersions, untilQuiet } from './quiet.ts';

const lease = { KEYWRIGHT_LEASE_DURATION: '6s' };
/** A checkpoint that was written in the middle of what a test settles is written again a minute later; a new leader is there within the lease. */
const withinMs = 90_000;
const keyId = 'default/app';
const total = toBudgetField('Total', 0);
const spent = 8_500_000_000;
let installation: Installation;
let operators: RunningProcess[];
let requests = 0;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 0, operator: lease });
  operators = [installation.operator, await installation.startOperator(lease)];
  await installation.apply(virtualKey('app', '{ budgets: [{ period: Total, limit: "10" }] }'));
  await installation.deliveredKey('app');
}, 180_000);
afterAll(async () => {
  await installation?.stop();
});

/** As settlements write them. */
async function settle(times: number): Promise<void> {
  for (let turn = 0; turn < times; turn += 1) {
    requests += 1;
    const usage = { ...emptyUsage, inputTokens: 10, outputTokens: 2 };
    const event: UsageEvent = { requestId: `r-${requests}`, keyId, dialect: 'OpenAI', status: 200, usage, durationMs: 1 };
    await installation.redis.cli('XADD', usageStreamOf(keyId), '*', 'e', JSON.stringify(event));
  }
}

async function stored(): Promise<KeyUsage | undefined> {
  const text = await installation.kubectl(
    'get',
    'secrets',
    '-n',
    'keywright-system',
    '--field-selector',
    `type=${usageSecretType}`,
    '-o',
    'json',
  );
  const { items } = JSON.parse(text) as { items: SecretObject[] };
  const parsed = items.map(parseUsageSecret).flatMap((result) => (result.ok ? result.checkpoint.keys : []));
  return parsed.find(({ id }) => id === keyId);
}

async function leader(): Promise<RunningProcess> {
  return eventually(
    async () => {
      for (const operator of operators) if ((await metric(operator, 'keywright_leader'))[0] === 1) return operator;
      return undefined;
    },
    { withinMs },
  );
}

async function budgetEvents(): Promise<number> {
  const text = await installation.kubectl('get', 'events', '-n', 'default', '-o', 'json');
  const { items } = JSON.parse(text) as { items: { reason: string; count?: number }[] };
  return items.filter(({ reason }) => reason === 'BudgetWarning').reduce((sum, { count = 1 }) => sum + count, 0);
}

it('usage is counted once and told once over the kill of a leader, is written with the rights of the chart, and nothing is written at rest', async () => {
  const put = "return redis.call('HSET', KEYS[1], ARGV[1], struct.pack('<dd', ARGV[2], 0), 'e', 'one', 'ea', 'one')";
  await installation.redis.cli('EVAL', put, '1', budgetsKey(keyId), total, String(spent));
  await settle(40);
  await untilHolds(async () => expect(await stored()).toMatchObject({ requests: 40, spent: { [total]: spent } }), { withinMs });
  await untilHolds(async () => expect(await budgetEvents()).toBe(1), { withinMs });
  // These are read, and not written down before the minute is over.
  await settle(30);
  const first = await leader();
  await untilHolds(async () => expect(await metric(first, 'keywright_usage_stream_lag')).toEqual([30]), { withinMs });
  operators = operators.filter((operator) => operator !== first);
  first.process.kill('SIGKILL');
  await first.process.child.ended;
  await settle(30);
  const second = await leader();
  await untilHolds(async () => expect((await stored())?.requests).toBeGreaterThanOrEqual(70), { withinMs });
  await untilHolds(async () => expect((await stored())?.requests).toBe(100), { withinMs });
  await untilHolds(async () => expect(await metric(second, 'keywright_usage_stream_lag')).toEqual([0]), { withinMs });
  expect(await stored()).toMatchObject({ requests: 100, inputTokens: 1_000, outputTokens: 200, warned: { [total]: 80 } });
  expect(await budgetEvents()).toBe(1);
  await untilHolds(async () => {
    const { status } = JSON.parse(await installation.kubectl('get', 'vk', 'app', '-n', 'default', '-o', 'json')) as VirtualKey;
    expect(status?.usage).toMatchObject({ budgets: [{ period: 'Total', window: 'total', spent: '8.5', limit: '10' }] });
  });

  await untilQuiet(second);
  const before = await readVersions(installation);
  await new Promise((resolve) => setTimeout(resolve, 65_000));
  expect(await findChanged(installation, before)).toEqual([]);

  await installation.redis.cli('FLUSHALL');
  await untilHolds(async () => {
    await installation.redis.cli('PUBLISH', restoreChannel, toRestoreQuestion({ keyId, epoch: 'two' }));
    expect(await installation.redis.cli('HGET', budgetsKey(keyId), 'ea')).toBe('two');
  });
  const read = "return string.format('%.0f', (struct.unpack('<dd', redis.call('HGET', KEYS[1], ARGV[1]))))";
  expect(await installation.redis.cli('EVAL', read, '1', budgetsKey(keyId), total)).toBe(String(spent));
}, 600_000);
