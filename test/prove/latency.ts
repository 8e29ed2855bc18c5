export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Of durations in milliseconds; the nearest rank, so that each figure is one that was measured, rounded to so many digits. */
export function toLatency(samples: readonly number[], digits = 0): Latency {
  const sorted = samples.toSorted((left, right) => left - right);
  const at = (share: number): number =>
    Number((sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0).toFixed(digits));
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
