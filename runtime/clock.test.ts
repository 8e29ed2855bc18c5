import { afterEach, expect, test, vi } from 'vitest';
import { systemClock } from './clock.ts';

afterEach(() => {
  vi.useRealTimers();
});

test('a wait longer than setTimeout can hold does not fire at once', () => {
  vi.useFakeTimers();
  const run = vi.fn();
  const fortyDaysMs = 40 * 86_400_000;
  systemClock.after(fortyDaysMs, run);
  vi.advanceTimersByTime(fortyDaysMs - 1);
  expect(run).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(run).toHaveBeenCalledTimes(1);
});

test('a cancelled timer does not run, in its second piece neither', () => {
  vi.useFakeTimers();
  const run = vi.fn();
  const timer = systemClock.after(40 * 86_400_000, run);
  vi.advanceTimersByTime(30 * 86_400_000);
  timer.cancel();
  vi.advanceTimersByTime(30 * 86_400_000);
  expect(run).not.toHaveBeenCalled();
});
