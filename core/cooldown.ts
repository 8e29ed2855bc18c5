/** How long a throttled credential is left alone. Plain values; time comes in as an argument. */
export interface Cooldown {
  readonly untilMs: number;
  /** throttles in a row that did not say for how long */
  readonly silent: number;
}

export const noCooldown: Cooldown = { untilMs: 0, silent: 0 };

/** A throttle that does not say for how long; doubled each time, up to the second. */
export const silentThrottleMs = 1_000;
const longestSilentMs = 30_000;
/** Nobody is believed for longer: to ask once in five minutes costs nothing. */
export const longestThrottleMs = 300_000;

/** The later end counts. Those that were sent before the first throttle came back are one with it. */
export function recordThrottle({ untilMs, silent }: Cooldown, retryAfterMs: number | undefined, nowMs: number): Cooldown {
  if (retryAfterMs !== undefined) return { untilMs: Math.max(untilMs, nowMs + Math.min(longestThrottleMs, retryAfterMs)), silent: 0 };
  if (nowMs < untilMs) return { untilMs, silent };
  return { untilMs: nowMs + Math.min(longestSilentMs, silentThrottleMs * 2 ** Math.min(silent, 10)), silent: silent + 1 };
}
