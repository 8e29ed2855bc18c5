import { describe, expect, it } from 'vitest';
import { makeFakeClock } from '../../test/support/fake-clock.ts';
import { ChangePace } from './change-pace.ts';

const delaysOf = (pace: ChangePace, item: string, times: number): number[] => Array.from({ length: times }, () => pace.delayMs(item));

describe('the pace of changes', () => {
  it('lets a burst through, and then one a second in which all later changes are seen', () => {
    const clock = makeFakeClock();
    const pace = new ChangePace(clock);
    expect(delaysOf(pace, 'K/a/1', 13)).toEqual([...Array.from({ length: 10 }, () => 0), 1_000, 1_000, 1_000]);
    clock.advance(400);
    expect(pace.delayMs('K/a/1')).toBe(600);
    expect([pace.leftMs('K/a/1'), pace.leftMs('K/a/2')]).toEqual([600, 0]);
    clock.advance(600);
    expect(pace.leftMs('K/a/1')).toBe(0);
    // what was due now is being looked at; what changes from here on is the next
    expect(delaysOf(pace, 'K/a/1', 2)).toEqual([1_000, 1_000]);
  });

  it('looks once a second at what never rests, and no later than that at its last change', () => {
    const clock = makeFakeClock();
    const pace = new ChangePace(clock);
    const looks = new Set<number>();
    let last = 0;
    for (let step = 0; step < 6_000; step += 1) {
      last = pace.delayMs('K/a/1');
      expect(last).toBeLessThanOrEqual(1_000);
      looks.add(clock.now() + last);
      clock.advance(10);
    }
    expect(looks.size).toBeLessThanOrEqual(60 + 10);
  });

  it('keeps objects apart, and remembers only those that changed lately', () => {
    const clock = makeFakeClock();
    const pace = new ChangePace(clock);
    delaysOf(pace, 'K/a/1', 20);
    expect(pace.delayMs('K/a/2')).toBe(0);
    expect(pace.size).toBe(2);
    clock.advance(30_000);
    expect(pace.delayMs('K/a/3')).toBe(0);
    expect(pace.size).toBe(1);
    expect(delaysOf(pace, 'K/a/1', 10)).toEqual(Array.from({ length: 10 }, () => 0));
  });
});
