/**
 * The clock of the store as far as this process can know it, so that what it decides by itself falls into the same buckets as what the store decides. It runs with the monotonic
 * clock of the process: a step of the pod's wall clock moves nothing.
 */
export interface StoreClock {
  /** ms since 1970, whole */
  now(): number;
  /** the store said `timeMs` in an answer to a question of `sentMs`, which arrived at `receivedMs` (both monotonic) */
  heard(timeMs: number, sentMs: number, receivedMs: number): void;
}

/** `wallNow`: what is taken for the store's clock until it has said something, ms since 1970. */
export function makeStoreClock({ monotonicNow, wallNow }: { monotonicNow: () => number; wallNow: () => number }): StoreClock {
  let offsetMs = wallNow() - monotonicNow();
  return {
    now: () => Math.floor(monotonicNow() + offsetMs),
    heard(timeMs, sentMs, receivedMs) {
      // The store read its clock between the two moments, so the offset lies between these two; it says whole milliseconds, rounded down. An offset that explains what was heard
      // stays: answers that took longer than others would only shake it.
      const leastMs = timeMs - receivedMs;
      const mostMs = timeMs + 1 - sentMs;
      offsetMs = Math.min(mostMs, Math.max(leastMs, offsetMs));
    },
  };
}
