import { expect, it } from 'vitest';
import { untilHolds } from '../../test/support/eventually.ts';
import type { RedisScriptCall } from '../../runtime/redis-script.ts';
import { startBudgetSweeper } from './budget-sweeper.ts';

it('a master that hangs is asked once, and the others all the time', async () => {
  const asked = { silent: 0, sound: 0 };
  const placeOf = (tag: string): keyof typeof asked => (tag < '20' ? 'silent' : 'sound');
  const sweeper = startBudgetSweeper({
    readyFor: () => true,
    placeOf,
    runAll: async (calls: readonly RedisScriptCall[]) => {
      const places = new Set(calls.map(({ parameters: [key = ''] }) => placeOf(key.slice('kw:{'.length))));
      const [place = 'silent'] = places;
      asked[place] += 1;
      return places.has('silent') ? new Promise(() => {}) : [];
    },
    clockText: () => '',
    random: () => 0,
    everyMs: 5,
  });
  await untilHolds(() => expect(asked.sound).toBeGreaterThanOrEqual(3));
  expect(asked.silent).toBe(1);
  sweeper.stop();
});
