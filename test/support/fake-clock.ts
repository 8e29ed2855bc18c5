import type { Clock, Timer } from '../../runtime/clock.ts';

export interface FakeClock extends Clock {
  /** moves time on and runs what becomes due, in order, each at its own moment */
  advance(ms: number): void;
  /** timers that wait */
  readonly pending: number;
}

/** A clock that only moves by hand. */
export function makeFakeClock(startMs = 1_700_000_000_000): FakeClock {
  let nowMs = startMs;
  let waiting: { atMs: number; run: () => void }[] = [];
  return {
    now: () => nowMs,
    after(ms, run): Timer {
      const entry = { atMs: nowMs + Math.max(0, ms), run };
      waiting.push(entry);
      return { cancel: () => void (waiting = waiting.filter((other) => other !== entry)) };
    },
    advance(ms) {
      const untilMs = nowMs + ms;
      for (;;) {
        const next = waiting.toSorted((left, right) => left.atMs - right.atMs)[0];
        if (next === undefined || next.atMs > untilMs) break;
        waiting = waiting.filter((other) => other !== next);
        nowMs = next.atMs;
        next.run();
      }
      nowMs = untilMs;
    },
    get pending() {
      return waiting.length;
    },
  };
}
