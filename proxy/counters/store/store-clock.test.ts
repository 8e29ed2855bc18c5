import { expect, it } from 'vitest';
import { makeStoreClock } from './store-clock.ts';

function start(): { clock: ReturnType<typeof makeStoreClock>; time: { monotonicMs: number; wallMs: number } } {
  const time = { monotonicMs: 1_000, wallMs: 1_700_000_000_000 };
  const clock = makeStoreClock({ monotonicNow: () => time.monotonicMs, wallNow: () => time.wallMs });
  return { clock, time };
}

it('is the wall clock until the store has said what time it is there', () => {
  const { clock, time } = start();
  time.monotonicMs += 500;
  expect(clock.now()).toBe(1_700_000_000_500);
});

it('is within the time that an answer took of what the store says, and stays while answers agree with it', () => {
  const { clock, time } = start();
  // the store is a minute ahead; it read its clock somewhere in these 10 ms
  clock.heard(1_700_000_060_000, 990, 1_000);
  const first = clock.now();
  expect(first).toBeGreaterThanOrEqual(1_700_000_060_000);
  expect(first).toBeLessThanOrEqual(1_700_000_060_011);
  time.monotonicMs += 1_000;
  clock.heard(1_700_000_060_950, 1_800, 2_000);
  expect(clock.now()).toBe(first + 1_000);
});

it('goes on through a step of the wall clock', () => {
  const { clock, time } = start();
  clock.heard(1_700_000_000_000, 1_000, 1_000);
  time.wallMs -= 3_600_000;
  time.monotonicMs += 2_000;
  expect(clock.now()).toBe(1_700_000_002_000);
});

it('follows a store whose clock is another one after a failover', () => {
  const { clock, time } = start();
  clock.heard(1_700_000_000_000, 1_000, 1_000);
  time.monotonicMs += 1_000;
  clock.heard(1_699_999_990_000, 1_999, 2_000);
  expect(clock.now()).toBeLessThanOrEqual(1_699_999_990_002);
});
