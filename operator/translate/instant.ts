/**
 * Milliseconds since 1970 of an RFC 3339 time. An unreadable one is `unreadable`: for an end 0, so that it refuses. Times before 1970 count as 1970,
 * since the snapshot has none.
 */
export function parseInstant(text: string, unreadable = 0): number {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? unreadable : Math.max(0, ms);
}

/** The earliest of the given times that lies ahead. */
export function earliest(nowMs: number, times: readonly (number | undefined)[]): number | undefined {
  const ahead = times.filter((time) => time !== undefined && time > nowMs) as number[];
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}
