const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
const pattern = /^(?:[0-9]{1,5}(?:h|ms|m|s)){1,4}$/;
const part = /([0-9]{1,5})(h|ms|m|s)/g;

/** Reads a duration of the resources (`1h30m`, `500ms`, `0s`) as milliseconds; NaN for anything else, which no later check takes for a time. */
export function parseDurationMs(text: string): number {
  if (!pattern.test(text)) return Number.NaN;
  let sum = 0;
  for (const [, digits, unit] of text.matchAll(part)) sum += Number(digits) * (unitMs[unit ?? ''] ?? Number.NaN);
  return sum;
}
