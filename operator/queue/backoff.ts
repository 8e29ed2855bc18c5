/**
 * Exponential back-off with jitter.
 * Half of the wait is random, so that many that failed together do not come back together; never below `baseMs`, never above `maximumMs`.
 *
 * @param attempt how many times it has failed before, from 0
 * @returns milliseconds to wait
 */
export function toBackoffMs(options: { attempt: number; baseMs: number; maximumMs: number; random: () => number }): number {
  // 2^30 is far above every maximum: without the bound a week of failures would overflow to Infinity.
  const ceilingMs = Math.min(options.maximumMs, options.baseMs * 2 ** Math.min(options.attempt, 30));
  return Math.max(options.baseMs, Math.round(ceilingMs / 2 + options.random() * (ceilingMs / 2)));
}
