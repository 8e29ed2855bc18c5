import fc from 'fast-check';
import { expect, it } from 'vitest';
import { depositRequest, makeRetryBudget, withdrawRetry } from './retry-budget.ts';

/** Gives how many repetitions were granted of those that were asked for after each request. */
function play(steps: readonly { readonly waitMs: number; readonly retries: number }[]): { granted: number; elapsedMs: number } {
  let nowMs = 0;
  let granted = 0;
  let budget = makeRetryBudget(nowMs);
  for (const { waitMs, retries } of steps) {
    nowMs += waitMs;
    budget = depositRequest(budget, nowMs);
    for (let count = 0; count < retries; count += 1) {
      const after = withdrawRetry(budget, nowMs);
      if (after === undefined) continue;
      budget = after;
      granted += 1;
    }
  }
  return { granted, elapsedMs: nowMs };
}

const steps = fc.array(fc.record({ waitMs: fc.nat({ max: 5000 }), retries: fc.nat({ max: 3 }) }), { maxLength: 300 });

it('grants at most a fifth of the requests, and what a quiet channel has in hand', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const { granted, elapsedMs } = play(list);
      expect(granted).toBeLessThanOrEqual(Math.floor(list.length / 5 + 3 + elapsedMs / 10_000));
    }),
  );
  expect(play(Array.from({ length: 1000 }, () => ({ waitMs: 0, retries: 1 }))).granted).toBe(203);
});

it('lets a quiet channel repeat a request now and then', () => {
  expect(play(Array.from({ length: 20 }, () => ({ waitMs: 10_000, retries: 1 }))).granted).toBe(20);
});

it('keeps no more than a burst of what a busy time has left', () => {
  let budget = makeRetryBudget(0);
  for (let count = 0; count < 10_000; count += 1) budget = depositRequest(budget, 0);
  let granted = 0;
  for (let next = withdrawRetry(budget, 0); next !== undefined; next = withdrawRetry(next, 0)) granted += 1;
  expect(granted).toBe(50);
});
