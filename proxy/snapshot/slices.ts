import { setImmediate } from 'node:timers/promises';

/** Cuts long work into slices, so that requests are served in between. */
export interface Slices {
  /** this slice has lasted long enough */
  readonly due: boolean;
  /** lets everything else run; a new slice begins */
  next(): Promise<void>;
}

/** `elapsed` gives milliseconds of a clock that never goes back. */
export function makeSlices(sliceMs: number, elapsed: () => number = () => performance.now()): Slices {
  let started = elapsed();
  return {
    get due() {
      return elapsed() - started >= sliceMs;
    },
    async next() {
      await setImmediate();
      started = elapsed();
    },
  };
}
