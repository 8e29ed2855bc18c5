import { describe, expect, it } from 'vitest';
import { makeBreaker } from './breaker.ts';

function make() {
  const changes: boolean[] = [];
  let nowMs = 0;
  const breaker = makeBreaker({ now: () => nowMs, onChange: (open) => changes.push(open) });
  const times = (count: number, run: () => void): void => {
    for (let done = 0; done < count; done += 1) run();
  };
  return { breaker, changes, times, pass: (ms: number) => (nowMs += ms) };
}

describe('the breaker', () => {
  it('opens at five failures within a second, however many succeed', () => {
    const { breaker, times } = make();
    times(1_000, breaker.success);
    times(4, breaker.failure);
    expect(breaker.open).toBe(false);
    breaker.failure();
    expect(breaker.open).toBe(true);
  });

  it('opens when more than half fail', () => {
    const { breaker, times } = make();
    times(2, breaker.success);
    times(2, breaker.failure);
    expect(breaker.open).toBe(false);
    breaker.failure();
    expect(breaker.open).toBe(true);
  });

  it('forgets after a second', () => {
    const { breaker, times, pass } = make();
    times(50, breaker.success);
    times(4, breaker.failure);
    pass(1_000);
    times(50, breaker.success);
    times(4, breaker.failure);
    expect(breaker.open).toBe(false);
  });

  it('is closed by a probe that succeeds and by nothing else; tells each change once', () => {
    const { breaker, changes, times } = make();
    times(9, breaker.failure);
    times(9, breaker.success);
    breaker.probed(false);
    expect(breaker.open).toBe(true);
    breaker.probed(true);
    breaker.probed(true);
    expect(breaker.open).toBe(false);
    expect(changes).toEqual([true, false]);
  });
});
