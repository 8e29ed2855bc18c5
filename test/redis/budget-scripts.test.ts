import { afterEach, beforeEach, expect, it } from 'vitest';
import { budgetsKey } from '../../core/budget-restore.ts';
import {
  type StoredBudgets,
  toReadBudgetsCall,
  toResetCall,
  toResetWindows,
  toRestoreCall,
  toStoredBudgets,
} from '../../runtime/budget-restore.ts';
import { toFormerSpendCall, toOpenBudgetsCall } from '../../proxy/counters/scripts/budget-scripts.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeRedisLink, type RedisLink } from '../../runtime/redis-link.ts';
import { eventually } from '../support/eventually.ts';
import { useRedis } from '../support/use-redis.ts';

const redis = useRedis();
let link: RedisLink;
const key = budgetsKey('team/app');
/** all the dollars that a budget may have, and one nano-dollar less: more than Lua prints by itself */
const million = 999_999_999_999_999;

beforeEach(async () => {
  link = makeRedisLink({ url: hide(redis.url), name: 'test', random: Math.random, log: makeLog({ level: 'silent', name: 'test' }) });
  await eventually(() => link.connected);
});
afterEach(() => link.close());

async function stored(): Promise<StoredBudgets> {
  return toStoredBudgets((await link.run([toReadBudgetsCall(key)]))[0]);
}

/** As the scripts of the proxies write it. */
async function put(window: string, spent: number, reserved: number): Promise<void> {
  const script = "return redis.call('HSET', KEYS[1], ARGV[1], struct.pack('<dd', ARGV[2], ARGV[3]))";
  await redis.cli('EVAL', script, '1', key, window, String(spent), String(reserved));
}

it('budgets are read exactly, with the epochs beside them', async () => {
  expect(await stored()).toEqual({ epoch: '', answeredEpoch: '', windows: [] });
  await put('D20419', million, 1);
  await redis.cli('HSET', key, 'e', 'epoch-2', 'ea', 'epoch-1', 'r', 'token', 'zz', '1234567890123456');
  expect(await stored()).toEqual({
    epoch: 'epoch-2',
    answeredEpoch: 'epoch-1',
    windows: [{ window: 'D20419', spentNanoUsd: million, reservedNanoUsd: 1 }],
  });
});

it('what is pushed raises and never lowers, and leaves alone what is reserved', async () => {
  await put('D20419', 700, 50);
  await link.run([
    toRestoreCall(
      key,
      new Map([
        ['D20419', 600],
        ['M24322', million],
      ]),
    ),
  ]);
  expect(await stored()).toMatchObject({
    answeredEpoch: '',
    windows: [
      { window: 'D20419', spentNanoUsd: 700, reservedNanoUsd: 50 },
      { window: 'M24322', spentNanoUsd: million, reservedNanoUsd: 0 },
    ],
  });
  await link.run([toRestoreCall(key, new Map([['D20419', 900]]), 'epoch-1')]);
  expect(await stored()).toMatchObject({ epoch: '', answeredEpoch: 'epoch-1', windows: [{ spentNanoUsd: 900, reservedNanoUsd: 50 }, {}] });
});

it('an answer that knows nothing is an answer', async () => {
  await link.run([toRestoreCall(key, new Map(), 'epoch-1')]);
  expect(await stored()).toEqual({ epoch: '', answeredEpoch: 'epoch-1', windows: [] });
});

it('a reset sets to 0 what is named, once', async () => {
  await put('D20419', 700, 50);
  await put('T0', million, 0);
  await put('M24322', 5, 0);
  const [reply] = await link.run([toResetCall(key, 'monday', ['D20419', 'T0', 'W2916'])]);
  expect(toResetWindows(reply)).toEqual(
    new Map([
      ['D20419', 700],
      ['T0', million],
    ]),
  );
  const after = await stored();
  expect(after.windows.toSorted((left, right) => (left.window < right.window ? -1 : 1))).toEqual([
    { window: 'D20419', spentNanoUsd: 0, reservedNanoUsd: 50 },
    { window: 'M24322', spentNanoUsd: 5, reservedNanoUsd: 0 },
    { window: 'T0', spentNanoUsd: 0, reservedNanoUsd: 0 },
  ]);
  await put('D20419', 30, 0);
  const [again] = await link.run([toResetCall(key, 'monday', ['D20419', 'T0'])]);
  expect(toResetWindows(again)).toEqual(new Map());
  expect((await stored()).windows).toContainEqual({ window: 'D20419', spentNanoUsd: 30, reservedNanoUsd: 0 });
});

it('a reset of budgets that were never used leaves nothing behind', async () => {
  const [reply] = await link.run([toResetCall(key, 'monday', ['D20419'])]);
  expect(toResetWindows(reply)).toEqual(new Map());
  expect(await redis.cli('KEYS', '*')).toEqual([]);
});

const tellFormer = (epoch: string, spent: Readonly<Record<string, number>>): Promise<unknown> =>
  link.run([toFormerSpendCall('team/app', epoch, new Map(Object.entries(spent)))]);
const spentOf = async (window: string): Promise<number | undefined> =>
  (await stored()).windows.find((each) => each.window === window)?.spentNanoUsd;

it('what is told of the life before is in the maximum while nothing is opened, and added as far as it is more than that afterwards, once', async () => {
  await tellFormer('two', { T0: 300 });
  await tellFormer('two', { T0: 200 });
  expect(await spentOf('T0')).toBe(300);
  await link.run([toOpenBudgetsCall('team/app', 'two')]);
  // spent since
  await put('T0', 350, 7);
  for (let time = 0; time < 2; time += 1) {
    for (const known of [300, 1_000, 800]) await tellFormer('two', { T0: known, D20419: 40 });
    expect(await stored()).toMatchObject({
      epoch: 'two',
      windows: expect.arrayContaining([{ window: 'T0', spentNanoUsd: 1_050, reservedNanoUsd: 7 }]),
    });
    // nothing was restored of that window
    expect(await spentOf('D20419')).toBe(40);
  }
  // in the next life all of that is what was restored
  await link.run([toOpenBudgetsCall('team/app', 'three')]);
  await tellFormer('three', { T0: 1_050, D20419: 40 });
  expect([await spentOf('T0'), await spentOf('D20419')]).toEqual([1_050, 40]);
});

it('what is told of the life before adds nothing to a budget that was reset, nor to one that a proxy without bases has opened', async () => {
  await put('T0', 300, 0);
  await link.run([toOpenBudgetsCall('team/app', 'two'), toResetCall(key, 'today', ['T0'])]);
  await tellFormer('two', { T0: 400 });
  expect(await spentOf('T0')).toBe(0);
  await put('T0', 300, 0);
  await redis.cli('HSET', key, 'e', 'three');
  await tellFormer('three', { T0: 250 });
  expect(await spentOf('T0')).toBe(300);
  await tellFormer('three', { T0: 350 });
  expect(await spentOf('T0')).toBe(350);
});

it('is exact up to a million dollars', async () => {
  await link.run([toOpenBudgetsCall('team/app', 'two')]);
  await put('T0', 5, 0);
  await tellFormer('two', { T0: million - 5 });
  await tellFormer('two', { T0: million - 5 });
  expect(await spentOf('T0')).toBe(million);
});
