import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { budgetWindowId, toBudgetField } from '../../core/budget.ts';
import { tagOf } from '../../core/hash-tag.ts';
import type { KeyUsage } from '../../core/key-usage.ts';
import { nanoUsdPerUsd as usd } from '../../core/money.ts';
import type { VirtualKeySpec } from '../../core/resources.ts';
import { formatUsageCheckpoint, usageSecretName, usageSecretType } from '../../core/usage-checkpoint.ts';
import { compareStreamIds } from '../../core/usage-stream.ts';
import { FakeUsageFeed } from '../../test/fake/usage-feed.ts';
import { ClusterError, type SecretObject } from '../cluster/cluster.ts';
import { startMs, World } from '../test-world.ts';
import { parseUsageSecret } from './usage-secrets.ts';

const minute = 60_000;
const day = toBudgetField('Daily', budgetWindowId('Daily', startMs));
const month = toBudgetField('Monthly', budgetWindowId('Monthly', startMs));
const budgets: VirtualKeySpec['budgets'] = [
  { period: 'Daily', limit: '10' },
  { period: 'Monthly', limit: '100', warnAt: [50] },
];
let world: World;
let feed: FakeUsageFeed;

beforeEach(() => {
  world = new World();
  feed = new FakeUsageFeed();
  world.usage = { feed, maxKeySeries: 100 };
});
afterEach(() => world.stop());

/** Every key in the usage Secrets. */
function stored(): Record<string, KeyUsage> {
  const found: Record<string, KeyUsage> = {};
  for (const object of world.cluster.objects()) {
    const secret = object as SecretObject;
    if (secret.type !== usageSecretType) continue;
    const parsed = parseUsageSecret(secret);
    if (!parsed.ok) throw new Error(parsed.message);
    for (const usage of parsed.checkpoint.keys) found[usage.id] = usage;
  }
  return found;
}

function usageSecret(): SecretObject {
  const secret = world.cluster.objects().find((object) => (object as SecretObject).type === usageSecretType);
  if (secret === undefined) throw new Error('there is no usage Secret');
  return secret;
}

const usageWrites = () => world.writes.filter(({ kind, name }) => kind === 'Secret' && name.startsWith('keywright-usage-'));
const statusWrites = () => world.writes.filter(({ verb, kind }) => verb === 'patchStatus' && kind === 'VirtualKey');
const shown = async (name = 'a') => (await world.key(name))?.status?.usage;
const events = (reason: string) => world.cluster.events().filter((event) => event.reason === reason);

async function begin(spec: VirtualKeySpec = { budgets }): Promise<void> {
  await world.start();
  await world.applyKey('a', spec);
  await world.advance(10_000);
  world.writes.length = 0;
}

/** One request that cost so much. */
function use(nanoUsd = 0, keyId = 'team/a'): void {
  feed.settle(keyId, world.nowMs, { costNanoUsd: nanoUsd });
  if (nanoUsd === 0) return;
  feed.spend(keyId, day, nanoUsd);
  feed.spend(keyId, month, nanoUsd);
}

describe('checkpoints', () => {
  it('hold what was used and spent, a Secret at most once a minute, and nothing is written at rest', async () => {
    await begin();
    for (let second = 0; second < 300; second += 1) {
      use(usd / 100);
      await world.advance(1_000);
    }
    expect(usageWrites().length).toBeLessThanOrEqual(6);
    await world.advance(2 * minute);
    expect(stored()['team/a']).toMatchObject({
      requests: 300,
      errors: 0,
      inputTokens: 3_000,
      outputTokens: 1_500,
      costNanoUsd: 3 * usd,
      lastUsedMs: startMs + 309_000,
      spent: { [day]: 3 * usd, [month]: 3 * usd },
    });
    await world.advance(10 * minute);
    world.writes.length = 0;
    const calls = feed.calls.length;
    await world.advance(60 * minute);
    expect(world.writes).toEqual([]);
    // what is kept for repetitions is let go of once
    expect(feed.calls.length - calls).toBeLessThanOrEqual(1);
  });

  it('are acknowledged only when they are written, and what cannot be written is tried again', async () => {
    await begin();
    let refused = 0;
    world.onWrite = ({ name }) => {
      if (!name.startsWith('keywright-usage-')) return undefined;
      refused += 1;
      return new ClusterError('Unavailable', 'down');
    };
    use(usd);
    await world.advance(3 * minute);
    expect(refused).toBeGreaterThan(2);
    expect(refused).toBeLessThan(20);
    const [id] = [...feed.streams.values()].flat().map((entry) => entry.id);
    for (const place of feed.acknowledged.values()) expect(compareStreamIds(place, id ?? '')).toBeLessThan(0);
    expect(await metric('keywright_usage_stream_lag')).toBe(1);
    world.onWrite = () => undefined;
    await world.advance(2 * minute);
    expect(stored()['team/a']).toMatchObject({ requests: 1, spent: { [day]: usd } });
    expect([...feed.acknowledged.values()]).toEqual([id]);
    expect(await metric('keywright_usage_stream_lag')).toBe(0);
  });

  it('count each entry once, wherever a leader ends and another begins', async () => {
    await world.start();
    const keys = Array.from({ length: 20 }, (_, number) => `k-${number}`);
    for (const name of keys) await world.applyKey(name, {}, number(name) % 2 === 0 ? 'team' : 'other');
    await world.advance(10_000);
    const expected: Record<string, number> = {};
    let seed = 7;
    for (let term = 0; term < 12; term += 1) {
      for (let turn = 0; turn < 40; turn += 1) {
        seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
        const name = keys[seed % keys.length] ?? '';
        const keyId = `${number(name) % 2 === 0 ? 'team' : 'other'}/${name}`;
        const event = feed.settle(keyId, world.nowMs);
        // a settlement whose answer was lost is sent again
        if (seed % 5 === 0) feed.settle(keyId, world.nowMs, { requestId: event.requestId });
        expected[keyId] = (expected[keyId] ?? 0) + 1;
        if (seed % 3 === 0) await world.advance(seed % 4_000);
      }
      // It dies in the middle of its writes, whatever is written stays, and nothing is acknowledged any more.
      let left = seed % 4;
      world.onWrite = ({ name }) =>
        name.startsWith('keywright-usage-') && (left -= 1) < 0 ? new ClusterError('Unavailable', 'dead') : undefined;
      await world.advance(seed % 50_000);
      await world.stop();
      world.onWrite = () => undefined;
      await world.start();
    }
    await world.advance(3 * minute);
    const counted = Object.fromEntries(Object.values(stored()).map(({ id, requests }) => [id, requests]));
    expect(counted).toEqual(expected);
    expect(await metric('keywright_usage_stream_lag')).toBe(0);
  });

  it('take over what another leader has written meanwhile', async () => {
    await begin();
    use();
    await world.advance(2 * minute);
    // The former leader was still counting: it has two entries more, of which its last write arrives late.
    const secret = usageSecret();
    const before = parseUsageSecret(secret);
    if (!before.ok) throw new Error(before.message);
    const tag = tagOf('team/a');
    for (let turn = 0; turn < 2; turn += 1) use();
    const theirs = before.checkpoint.keys.map((usage) => ({ ...usage, requests: usage.requests + 2 }));
    const through = { [tag]: feed.streams.get(tag)?.at(-1)?.id ?? '' };
    const document = gzipSync(formatUsageCheckpoint({ ...before.checkpoint, through, keys: theirs })).toString('base64');
    await world.cluster.replace({ ...secret, metadata: { ...secret.metadata, labels: { mine: 'yes' } }, data: { document } });
    use();
    await world.advance(3 * minute);
    expect(stored()['team/a']?.requests).toBe(4);
    expect((await world.secret(secret.metadata.name, 'system'))?.metadata.labels).toEqual({ mine: 'yes' });
  });

  it('that cannot be read are not written over, until they are mended or deleted', async () => {
    await begin();
    use();
    await world.advance(2 * minute);
    const secret = usageSecret();
    await world.stop();
    const data = { document: Buffer.from('{"kind":"usage","minReader":9}').toString('base64') };
    await world.cluster.apply({ ...secret, data });
    await world.start();
    world.writes.length = 0;
    use();
    await world.advance(3 * minute);
    expect(usageWrites()).toEqual([]);
    expect(await metric('keywright_usage_unreadable')).toBe(1);
    expect(world.logLines.filter((line) => line.includes('usage_unreadable'))).toHaveLength(1);
    await world.cluster.delete({ kind: 'Secret', namespace: 'system', name: secret.metadata.name });
    await world.advance(3 * minute);
    expect(stored()['team/a']?.requests).toBe(1);
    expect(await metric('keywright_usage_unreadable')).toBe(0);
  });

  it('go on when the Streams begin anew behind a clock that has gone back', async () => {
    await begin();
    use();
    await world.advance(2 * minute);
    feed.lose();
    const nowMs = world.nowMs;
    feed.settle('team/a', nowMs - 3_600_000);
    await world.advance(2 * minute);
    expect(stored()['team/a']?.requests).toBe(2);
    expect(world.logLines.join('\n')).toContain('usage_streams_lost');
  });

  it('forget a key of which nothing is left', async () => {
    await world.start();
    use(0, 'team/never-was');
    use(0, 'team/b');
    await world.applyKey('b');
    await world.advance(2 * minute);
    expect(Object.keys(stored())).toEqual(expect.arrayContaining(['team/b', 'team/never-was']));
    await jump(25 * 3_600_000);
    for (let number = 0; number < 400; number += 1) use(0, `team/x-${number}`);
    await world.advance(3 * minute);
    expect(Object.keys(stored())).toContain('team/b');
    expect(Object.keys(stored())).not.toContain('team/never-was');
  });
});

describe('a Redis that has lost what was spent', () => {
  it('is told when it asks, also that nothing is known', async () => {
    await begin();
    use(3 * usd);
    await world.advance(2 * minute);
    feed.lose();
    feed.ask('team/a');
    feed.ask('team/other');
    await world.advance(100);
    expect(feed.spentOf('team/a', day)).toBe(3 * usd);
    expect(feed.spentOf('team/a', month)).toBe(3 * usd);
    expect(feed.budgets.get('team/a')?.answeredEpoch).toBe('epoch-2');
    expect(feed.budgets.get('team/other')).toMatchObject({ answeredEpoch: 'epoch-2', spent: new Map() });
    expect(await metric('keywright_budget_restores_total')).toBe(2);
  });

  it('is told by a new leader from the checkpoints, and never less than what it has already', async () => {
    await begin();
    use(3 * usd);
    await world.advance(2 * minute);
    await world.stop();
    feed.lose();
    feed.spend('team/a', day, 5 * usd);
    feed.of('team/a').answeredEpoch = '';
    await world.start();
    await world.advance(2_000);
    feed.ask('team/a');
    await world.advance(100);
    expect(feed.spentOf('team/a', day)).toBe(5 * usd);
    expect(feed.spentOf('team/a', month)).toBe(3 * usd);
  });

  it('and went on without the answer gets it with the next look', async () => {
    await begin();
    use(3 * usd);
    await world.advance(2 * minute);
    feed.lose();
    // opened after two seconds
    feed.of('team/a').answeredEpoch = '';
    feed.epoch = 'epoch-2';
    use(usd);
    await world.advance(2 * minute);
    expect(feed.spentOf('team/a', day)).toBe(3 * usd);
    expect(feed.budgets.get('team/a')?.answeredEpoch).toBe('epoch-2');
    expect(stored()['team/a']?.spent[day]).toBe(3 * usd);
  });

  it('is not told of windows that are over', async () => {
    await begin();
    use(3 * usd);
    await world.advance(2 * minute);
    feed.lose();
    await jump(2 * 86_400_000);
    feed.ask('team/a');
    await world.advance(100);
    expect([...(feed.budgets.get('team/a')?.spent ?? [])]).toEqual([[month, 3 * usd]]);
  });
});

describe('shares of a budget', () => {
  it('are told once a window, whoever leads, after that was written down', async () => {
    await begin();
    use(7 * usd);
    await world.advance(2 * minute);
    expect(events('BudgetWarning')).toEqual([]);
    use(usd);
    await world.advance(2 * minute);
    expect(events('BudgetWarning').map(({ message }) => message)).toEqual(['8 of 10 USD are spent (Daily, 2026-01-05): 80% reached']);
    expect(stored()['team/a']?.warned).toEqual({ [day]: 80 });
    const audit = world.logLines.filter((line) => line.includes('"audit":true') && line.includes('BudgetWarning'));
    expect(audit).toHaveLength(1);
    await world.stop();
    await world.start();
    use(usd / 2);
    await world.advance(2 * minute);
    expect(events('BudgetWarning')).toHaveLength(1);
    use(2 * usd);
    await world.advance(2 * minute);
    expect(events('BudgetExhausted')).toHaveLength(1);
    await jump(86_400_000);
    const next = toBudgetField('Daily', budgetWindowId('Daily', world.nowMs));
    feed.spend('team/a', next, 9 * usd);
    use();
    await world.advance(2 * minute);
    expect(events('BudgetWarning')).toHaveLength(2);
    expect(await metric('keywright_budget_notices_total', { reason: 'BudgetWarning' })).toBe(1);
  });

  it('are not told before they are written', async () => {
    await begin();
    world.onWrite = ({ name }) => (name.startsWith('keywright-usage-') ? new ClusterError('Unavailable', 'down') : undefined);
    use(8 * usd);
    await world.advance(2 * minute);
    expect(events('BudgetWarning')).toEqual([]);
    world.onWrite = () => undefined;
    await world.advance(2 * minute);
    expect(events('BudgetWarning')).toHaveLength(1);
  });
});

describe('the status', () => {
  it('shows usage at most every five minutes, only if it changed, and never takes part in anything', async () => {
    await begin();
    for (let turn = 0; turn < 60; turn += 1) {
      use(usd / 100);
      await world.advance(10_000);
    }
    expect(statusWrites().length).toBeLessThanOrEqual(3);
    await world.advance(10 * minute);
    expect(await shown()).toMatchObject({
      requests: 60,
      errors: 0,
      tokens: 900,
      budgets: [
        { period: 'Daily', window: '2026-01-05', spent: '0.6', limit: '10' },
        { period: 'Monthly', window: '2026-01', spent: '0.6', limit: '100' },
      ],
    });
    world.writes.length = 0;
    await world.stop();
    await world.start();
    await world.advance(60 * minute);
    expect(statusWrites()).toEqual([]);
  });

  it('of many keys is written at no more than 20 a second, those that waited longest first', async () => {
    await world.start();
    const names = Array.from({ length: 60 }, (_, index) => `k-${index}`);
    for (const name of names) await world.applyKey(name);
    await world.advance(20_000);
    for (const name of names) use(0, `team/${name}`);
    const written: { name: string; atMs: number }[] = [];
    world.onWrite = ({ verb, name }) => {
      if (verb === 'patchStatus') written.push({ name, atMs: world.nowMs });
      return undefined;
    };
    await world.advance(20_000);
    expect(written).toHaveLength(60);
    for (const { atMs } of written)
      expect(written.filter((other) => other.atMs >= atMs && other.atMs < atMs + 1_000).length).toBeLessThanOrEqual(20);
  });

  it('says what was spent as soon as it says that the key was used', async () => {
    await world.start();
    const names = Array.from({ length: 12 }, (_, index) => `k-${index}`);
    for (const name of names) await world.applyKey(name, { budgets });
    await world.advance(20_000);
    for (const name of names) use(usd, `team/${name}`);
    for (let second = 0; second < 30; second += 1) {
      await world.advance(1_000);
      for (const name of names) {
        const usage = await shown(name);
        if (usage !== undefined) expect([name, usage.requests, usage.budgets?.map(({ spent }) => spent)]).toEqual([name, 1, ['1', '1']]);
      }
    }
    for (const name of names) expect(await shown(name)).toBeDefined();
  });

  it('has the amounts of the spec', async () => {
    await begin();
    use(usd);
    await world.advance(2 * minute);
    await world.applyKey('a', { budgets: [{ period: 'Daily', limit: '20' }] });
    await world.advance(5_000);
    expect((await shown())?.budgets).toEqual([{ period: 'Daily', window: '2026-01-05', spent: '1', limit: '20' }]);
  });
});

describe('a reset by annotation', () => {
  const annotate = async (value: string | undefined) => {
    const known = await world.key('a');
    if (known === undefined) throw new Error('no key');
    const annotations: Record<string, string> = value === undefined ? {} : { 'keywright.dev/reset-budget': value };
    await world.cluster.apply({ ...known, metadata: { ...known.metadata, annotations } });
  };

  it('sets what is spent to 0, once, whoever leads, and is audited', async () => {
    await begin();
    use(9 * usd);
    await world.advance(2 * minute);
    await annotate('monday;period=Daily');
    await world.advance(6_000);
    expect([feed.spentOf('team/a', day), feed.spentOf('team/a', month)]).toEqual([0, 9 * usd]);
    const audit = world.logLines.filter((line) => line.includes('"BudgetReset"'));
    expect(audit.map((line) => JSON.parse(line) as object)).toMatchObject([
      { audit: true, key: 'team/a', actor: null, source: 'watch', asked: 'monday;period=Daily', spent: { [day]: '9' } },
    ]);
    use(8 * usd);
    await world.advance(2 * minute);
    expect(stored()['team/a']).toMatchObject({ spent: { [day]: 8 * usd, [month]: 17 * usd }, reset: { asked: 'monday;period=Daily' } });
    // told for the second time in this window, since it began anew
    expect(events('BudgetWarning')).toHaveLength(2);
    await world.stop();
    await world.start();
    await world.advance(minute);
    await annotate(undefined);
    await world.advance(minute);
    expect(feed.spentOf('team/a', day)).toBe(8 * usd);
    expect(events('BudgetReset')).toHaveLength(1);
    await annotate('tuesday');
    await world.advance(6_000);
    expect([feed.spentOf('team/a', day), feed.spentOf('team/a', month)]).toEqual([0, 0]);
    expect(await metric('keywright_budget_resets_total')).toBe(1);
  });

  it('that is repeated because its leader died takes nothing back twice', async () => {
    await begin();
    use(9 * usd);
    await world.advance(2 * minute);
    world.onWrite = ({ name }) => (name.startsWith('keywright-usage-') ? new ClusterError('Unavailable', 'dead') : undefined);
    await annotate('monday');
    await world.advance(6_000);
    use(usd);
    await world.stop();
    world.onWrite = () => undefined;
    await world.start();
    await world.advance(2 * minute);
    expect(feed.spentOf('team/a', day)).toBe(usd);
    expect(stored()['team/a']?.spent[day]).toBe(usd);
  });

  it('that cannot be understood says so once and resets nothing', async () => {
    await begin();
    use(usd);
    await world.advance(2 * minute);
    await annotate('now;period=Yearly');
    await world.advance(minute);
    expect(events('ResetAnnotationInvalid').map(({ message }) => message)).toEqual([
      'the annotation keywright.dev/reset-budget may have one option, period= with one of Daily, Weekly, Monthly, Total: nothing is reset',
    ]);
    // standalone shows nobody an Event
    const told = world.logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(told.filter(({ event }) => event === 'reset_annotation_invalid')).toMatchObject([{ key: 'team/a', asked: 'now;period=Yearly' }]);
    expect(feed.spentOf('team/a', day)).toBe(usd);
  });

  it('waits for the master of its key, and keeps no other key waiting', async () => {
    await begin();
    await world.applyKey('b', { budgets });
    use(usd);
    use(usd, 'team/b');
    await world.advance(2 * minute);
    feed.away.add('team/a');
    await annotate('now');
    const other = await world.key('b');
    if (other === undefined) throw new Error('no key');
    await world.cluster.apply({ ...other, metadata: { ...other.metadata, annotations: { 'keywright.dev/reset-budget': 'now' } } });
    await world.advance(6_000);
    expect([feed.spentOf('team/a', day), feed.spentOf('team/b', day)]).toEqual([usd, 0]);
    feed.away.clear();
    await world.advance(6_000);
    expect(feed.spentOf('team/a', day)).toBe(0);
  });

  it('waits for Redis', async () => {
    await begin();
    use(usd);
    await world.advance(2 * minute);
    feed.connected = false;
    await annotate('now');
    await world.advance(minute);
    expect(feed.spentOf('team/a', day)).toBe(usd);
    feed.connected = true;
    await world.advance(10_000);
    expect(feed.spentOf('team/a', day)).toBe(0);
  });
});

describe('metrics', () => {
  it('of limits are those of keys that were used, by what is published, and of Channels; a new leader knows them at once, and nobody else shows any', async () => {
    await begin({ limits: { rpm: 10, concurrency: 2 } });
    await world.applyKey('free', {});
    await world.applySecret('provider', { apiKey: 'sk-provider-0123456789' }, { namespace: 'platform' });
    await world.applyChannel('llm', { provider: 'OpenAI', limits: { rpm: 100 }, allowedNamespaces: { from: 'All' } } as never);
    await world.advance(10_000);
    feed.used.set('team/a rpm', 4);
    feed.used.set('c:platform/llm rpm', 50);
    const shares = async (name: string) =>
      ((await world.metrics.getSingleMetric(name)?.get())?.values ?? []).map(({ labels, value }) => [...Object.values(labels), value]);
    expect(await shares('keywright_limit_utilization_ratio')).toEqual([]);
    use();
    use(0, 'team/free');
    await world.advance(2 * minute);
    expect(await shares('keywright_limit_utilization_ratio')).toEqual([
      ['team/a', 'rpm', 0.4],
      ['team/a', 'concurrency', 0],
    ]);
    expect(await shares('keywright_channel_limit_utilization_ratio')).toEqual([['platform/llm', 'rpm', 0.5]]);
    // A spec that is refused changes no limit.
    await world.applyKey('a', { limits: { rpm: 1_000 }, access: { channels: ['platform/absent'] } });
    await world.advance(minute);
    expect(await shares('keywright_limit_utilization_ratio')).toContainEqual(['team/a', 'rpm', 0.4]);
    feed.connected = false;
    expect(await shares('keywright_limit_utilization_ratio')).toEqual([]);
    feed.connected = true;
    const { metrics } = world;
    await world.stop();
    expect(await metrics.metrics()).not.toMatch(/utilization_ratio\{(?:key|channel)/);
    await world.start();
    await world.advance(minute);
    expect(await shares('keywright_limit_utilization_ratio')).toContainEqual(['team/a', 'rpm', 0.4]);
  });

  it('of budgets are those of the present window, of a bounded number of keys, and of the leader alone', async () => {
    world.usage = { feed, maxKeySeries: 1 };
    await begin();
    await world.applyKey('b', { budgets });
    use(usd);
    use(2 * usd, 'team/b');
    await world.advance(2 * minute);
    const lines = (await world.metrics.metrics()).split('\n').filter((line) => line.startsWith('keywright_budget_spent_usd{'));
    expect(lines).toHaveLength(2);
    const key = lines[0]?.includes('team/a') === true ? 'team/a' : 'team/b';
    expect(await metric('keywright_budget_spent_usd', { key, period: 'Daily' })).toBe(key === 'team/a' ? 1 : 2);
    expect(await metric('keywright_budget_limit_usd', { key, period: 'Monthly' })).toBe(100);
    await jump(86_400_000);
    expect(await metric('keywright_budget_spent_usd', { key, period: 'Daily' })).toBe(0);
    expect(await metric('keywright_budget_spent_usd', { key, period: 'Monthly' })).toBe(key === 'team/a' ? 1 : 2);
    const { metrics } = world;
    await world.stop();
    expect(await metrics.metrics()).not.toContain('keywright_budget_spent_usd{');
  });
});

it('names its Secrets by their bucket', async () => {
  await begin();
  use();
  await world.advance(2 * minute);
  const [write] = usageWrites();
  expect(Array.from({ length: 64 }, (_, bucket) => usageSecretName(bucket))).toContain(write?.name);
});

/** As if the machine had slept: a day of seconds would take too long. */
async function jump(ms: number): Promise<void> {
  world.nowMs += ms;
  await world.advance(10_000);
}

async function metric(name: string, labels: Record<string, string> = {}): Promise<number | undefined> {
  const values = (await world.metrics.getSingleMetric(name)?.get())?.values ?? [];
  return values.find((value) => Object.entries(labels).every(([label, wanted]) => String(value.labels[label]) === wanted))?.value;
}

function number(name: string): number {
  return Number(name.split('-')[1]);
}
