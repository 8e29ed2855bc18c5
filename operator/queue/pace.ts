import type { Clock, Timer } from '../../runtime/clock.ts';

/** Turns that come no faster than agreed. */
export interface Pace {
  /** resolves when it is this caller's turn, in the order of asking; at once after `end` */
  turn(): Promise<void>;
  end(): void;
}

/** A burst, and then so many turns a second: for work of which a fault can suddenly ask for thousands. */
export function makePace(options: { clock: Clock; burst: number; perSecond: number }): Pace {
  const { clock, burst, perSecond } = options;
  const everyMs = 1_000 / perSecond;
  const waiting = new Map<() => void, Timer>();
  let nextMs = Number.NEGATIVE_INFINITY;
  let ended = false;
  return {
    async turn() {
      const nowMs = clock.now();
      nextMs = Math.max(nextMs, nowMs - (burst - 1) * everyMs);
      const waitMs = nextMs - nowMs;
      nextMs += everyMs;
      if (waitMs <= 0 || ended) return;
      await new Promise<void>((resolve) => {
        const go = (): void => {
          waiting.delete(go);
          resolve();
        };
        waiting.set(go, clock.after(waitMs, go));
      });
    },
    end() {
      ended = true;
      for (const [go, timer] of waiting) {
        timer.cancel();
        go();
      }
    },
  };
}
