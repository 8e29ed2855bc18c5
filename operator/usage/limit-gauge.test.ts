import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { channelHolder } from '../../core/hash-tag.ts';
import type { KeyLimits } from '../../core/snapshot.ts';
import { makeLog } from '../../runtime/log.ts';
import { type FakeClock, makeFakeClock } from '../../test/support/fake-clock.ts';
import type { LimitBoard, LimitQuestion, LimitReading } from './limit-board.ts';
import { LimitGauge } from './limit-gauge.ts';

const name = 'keywright_limit_utilization_ratio';
const ofChannels = 'keywright_channel_limit_utilization_ratio';

let clock: FakeClock;
let registry: Registry;
let gauge: LimitGauge;
let lines: string[];
const limits = new Map<string, KeyLimits>();
const channels = new Map<string, KeyLimits>();
/** `holder limit` → used; of what has no entry nothing */
const used = new Map<string, number>();
const away = new Set<string>();
/** how many questions came together, time after time */
let asked: number[];
let connected: boolean;
let trouble: Error | undefined;
/** what an answer waits for */
let gate: Promise<void> | undefined;

const board: LimitBoard = {
  get connected() {
    return connected;
  },
  async read(questions) {
    asked.push(questions.length);
    await gate;
    if (trouble !== undefined) throw trouble;
    return questions.map((question) => (away.has(question.holder) ? undefined : toReading(question)));
  },
};

function toReading({ holder, windows, slots }: LimitQuestion): LimitReading {
  const of = (limit: string): number => used.get(`${holder} ${limit}`) ?? 0;
  return { used: windows.map((window) => of(window.name)), inFlight: slots ? of('concurrency') : 0 };
}

function start(maxKeySeries: number): LimitGauge {
  return new LimitGauge({
    board,
    limitsOf: (keyId) => limits.get(keyId),
    limitedChannels: () => [...channels].map(([id, ofChannel]) => ({ id, limits: ofChannel })),
    clock,
    log: makeLog({ level: 'debug', name: 'test', destination: { write: (line: string) => void lines.push(line) } }),
    metrics: { registry },
    maxKeySeries,
  });
}

async function shown(metric = name): Promise<Record<string, number>> {
  const values = (await registry.getSingleMetric(metric)?.get())?.values ?? [];
  return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels).join(' '), value]));
}

const events = () => lines.map((line) => (JSON.parse(line) as { event?: string }).event);

beforeEach(() => {
  for (const each of [limits, channels, used, away]) each.clear();
  asked = [];
  connected = true;
  trouble = undefined;
  gate = undefined;
  lines = [];
  clock = makeFakeClock();
  registry = new Registry();
  gauge = start(1_000);
});
afterEach(() => gauge.stop());

describe('the used share of limits', () => {
  it('is shown of every limit of a key that was used: windows, those of models, concurrency', async () => {
    limits.set('team/a', { rpm: 10, tpd: 1_000, concurrency: 4, models: [{ model: 'gpt-4o*', rpm: 5 }] });
    for (const [limit, figure] of Object.entries({ rpm: 5, tpd: 2_500, 'rpm:gpt-4o*': 5, concurrency: 1 }))
      used.set(`team/a ${limit}`, figure);
    limits.set('team/unused', { rpm: 10 });
    expect(await shown()).toEqual({});
    gauge.note('team/a');
    clock.advance(10_000);
    expect(await shown()).toEqual({ 'team/a rpm': 0.5, 'team/a tpd': 2.5, 'team/a rpm:gpt-4o*': 1, 'team/a concurrency': 0.25 });
  });

  it('is shown of every Channel that has limits, under its own name', async () => {
    channels.set('team/a', { rpm: 4, concurrency: 2 });
    used.set(`${channelHolder('team/a')} rpm`, 3);
    used.set('team/a rpm', 1);
    expect([await shown(), await shown(ofChannels)]).toEqual([{}, { 'team/a rpm': 0.75, 'team/a concurrency': 0 }]);
  });

  it('of a limit of 0 is all of it', async () => {
    limits.set('team/a', { rpm: 0 });
    gauge.note('team/a');
    expect(await shown()).toEqual({ 'team/a rpm': 1 });
  });

  it('follows the limits: another amount, another limit, none, the key is gone', async () => {
    limits.set('team/a', { rpm: 10 });
    used.set('team/a rpm', 5);
    gauge.note('team/a');
    expect(await shown()).toEqual({ 'team/a rpm': 0.5 });
    limits.set('team/a', { rpm: 50, concurrency: 1 });
    clock.advance(10_000);
    expect(await shown()).toEqual({ 'team/a rpm': 0.1, 'team/a concurrency': 0 });
    limits.set('team/a', { mode: 'Enforce' });
    clock.advance(10_000);
    expect(await shown()).toEqual({});
    limits.set('team/a', { rpm: 10 });
    gauge.note('team/a');
    clock.advance(10_000);
    expect(await shown()).toEqual({ 'team/a rpm': 0.5 });
    limits.delete('team/a');
    clock.advance(10_000);
    expect(await shown()).toEqual({});
  });
});

describe('a key that is not used any more', () => {
  beforeEach(() => {
    limits.set('team/a', { rpm: 10, rpd: 100 });
    gauge.note('team/a');
  });

  it('stays while anything of it counts, however long ago it was used', async () => {
    used.set('team/a rpd', 1);
    clock.advance(20 * 3_600_000);
    expect(await shown()).toEqual({ 'team/a rpm': 0, 'team/a rpd': 0.01 });
    clock.advance(10_000);
    expect(await shown()).not.toEqual({});
  });

  it('goes ten minutes after its last use when nothing of it counts', async () => {
    clock.advance(590_000);
    expect(await shown()).toEqual({ 'team/a rpm': 0, 'team/a rpd': 0 });
    gauge.note('team/a');
    clock.advance(599_000);
    expect(await shown()).not.toEqual({});
    clock.advance(10_000);
    await shown();
    clock.advance(10_000);
    expect(await shown()).toEqual({});
  });

  it('is not taken for one while it cannot be read', async () => {
    away.add('team/a');
    clock.advance(700_000);
    expect(await shown()).toEqual({});
    away.clear();
    used.set('team/a rpd', 10);
    clock.advance(10_000);
    expect(await shown()).toEqual({ 'team/a rpm': 0, 'team/a rpd': 0.1 });
  });
});

describe('what it costs', () => {
  it('nobody asks while nobody scrapes, and at most every ten seconds whoever scrapes', async () => {
    limits.set('team/a', { rpm: 10 });
    gauge.note('team/a');
    clock.advance(590_000);
    expect(asked).toEqual([]);
    await Promise.all([shown(), shown(ofChannels), shown()]);
    await shown();
    clock.advance(9_999);
    await shown();
    expect(asked).toEqual([1]);
    clock.advance(1);
    used.set('team/a rpm', 7);
    expect([await shown(), asked]).toEqual([{ 'team/a rpm': 0.7 }, [1, 1]]);
  });

  it('a clock that is set back does not end it', async () => {
    limits.set('team/a', { rpm: 10 });
    gauge.note('team/a');
    await shown();
    const back = clock.now() - 86_400_000;
    Object.assign(clock, { now: () => back });
    used.set('team/a rpm', 7);
    expect(await shown()).toEqual({ 'team/a rpm': 0.7 });
  });

  it('there are no more series than the bound, of the keys that came first', async () => {
    gauge.stop();
    gauge = start(6);
    for (let number = 0; number < 10; number += 1) {
      limits.set(`team/${number}`, { rpm: 10, rpd: 10 });
      channels.set(`team/${number}`, { rpm: 10, concurrency: 10 });
      gauge.note(`team/${number}`);
    }
    expect([...new Set(Object.keys(await shown()).map((text) => text.split(' ')[0]))]).toEqual(['team/0', 'team/1', 'team/2']);
    expect(Object.keys(await shown(ofChannels))).toHaveLength(6);
    limits.delete('team/1');
    clock.advance(10_000);
    expect([...new Set(Object.keys(await shown()).map((text) => text.split(' ')[0]))]).toEqual(['team/0', 'team/2', 'team/3']);
  });

  it('thousands of keys are asked for in parts, with turns of the rest of the process in between', async () => {
    gauge.stop();
    gauge = start(10_000);
    for (let number = 0; number < 10_000; number += 1) {
      limits.set(`team/${number}`, { rpm: 10 });
      gauge.note(`team/${number}`);
    }
    let turns = 0;
    let going = true;
    const others = (async () => {
      while (going) {
        await new Promise((resolve) => setImmediate(resolve));
        turns += 1;
      }
    })();
    expect(Object.keys(await shown())).toHaveLength(10_000);
    going = false;
    await others;
    expect(Math.max(...asked)).toBeLessThanOrEqual(64);
    expect(turns).toBeGreaterThanOrEqual(asked.length);
  });
});

describe('without an answer', () => {
  beforeEach(() => {
    limits.set('team/a', { rpm: 10 });
    limits.set('team/b', { rpm: 10 });
    for (const keyId of limits.keys()) {
      used.set(`${keyId} rpm`, 5);
      gauge.note(keyId);
    }
    channels.set('team/c', { rpm: 10 });
  });

  it('nothing is shown while Redis is away, not 0, and nobody is asked', async () => {
    await shown();
    connected = false;
    clock.advance(10_000);
    expect([await shown(), await shown(ofChannels), asked.length]).toEqual([{}, {}, 2]);
    connected = true;
    expect(await shown()).toEqual({ 'team/a rpm': 0.5, 'team/b rpm': 0.5 });
    expect(events()).toEqual([]);
  });

  it('of a part only that is not shown', async () => {
    away.add('team/a');
    expect(await shown()).toEqual({ 'team/b rpm': 0.5 });
  });

  it('that may not be had nothing is shown, and it is said once', async () => {
    await shown();
    trouble = new Error('NOPERM this user has no permissions');
    for (let turn = 0; turn < 3; turn += 1) {
      clock.advance(10_000);
      expect(await shown()).toEqual({});
    }
    trouble = undefined;
    clock.advance(10_000);
    expect(await shown()).toEqual({ 'team/a rpm': 0.5, 'team/b rpm': 0.5 });
    expect(events()).toEqual(['limits_unread', 'limits_read_again']);
  });

  it('for two seconds a scrape goes on with what is known, for half a minute', async () => {
    await shown();
    const open = Promise.withResolvers<void>();
    gate = open.promise;
    clock.advance(10_000);
    const slow = shown();
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(2_000);
    expect(await slow).toEqual({ 'team/a rpm': 0.5, 'team/b rpm': 0.5 });
    clock.advance(18_000);
    const late = shown();
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(2_000);
    expect(await late).toEqual({});
    // the look goes on, and no second one beside it
    expect(asked).toHaveLength(3);
    used.set('team/a rpm', 9);
    open.resolve();
    gate = undefined;
    await expect.poll(() => shown()).toEqual({ 'team/a rpm': 0.9, 'team/b rpm': 0.5 });
  });

  it('nothing is shown by one who does not lead any more, and the next leader shows its own', async () => {
    await shown();
    gauge.stop();
    expect(await shown()).toEqual({});
    gauge = start(1_000);
    gauge.note('team/b');
    expect(await shown()).toEqual({ 'team/b rpm': 0.5 });
  });
});
