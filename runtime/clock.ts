/** Time as an argument: production passes `systemClock`, tests a clock they move by hand. */
export interface Clock {
  /** milliseconds since 1970 */
  now(): number;
  /** calls `run` once after at least `ms` milliseconds, unless cancelled before */
  after(ms: number, run: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

/** setTimeout takes a signed 32-bit number of milliseconds and fires AT ONCE for a larger one, so longer waits go in pieces. */
const longestTimeoutMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    let leftMs = Math.max(0, ms);
    let handle: NodeJS.Timeout;
    const wait = (): void => {
      const pieceMs = Math.min(leftMs, longestTimeoutMs);
      leftMs -= pieceMs;
      handle = setTimeout(leftMs > 0 ? wait : run, pieceMs);
    };
    wait();
    return { cancel: () => clearTimeout(handle) };
  },
};
