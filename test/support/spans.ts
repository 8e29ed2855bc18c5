/** What was let in: a request (amount 1) or tokens or money, at a moment of the clock that limits go by. */
export interface Charge {
  readonly atMs: number;
  readonly amount: number;
}

/** The most that was charged within any span, by looking at every one that ends with a charge. Two charges exactly a span apart are in it both: the clock is read in whole milliseconds. */
export function mostInAnySpan(charges: readonly Charge[], spanMs: number): number {
  const ordered = charges.toSorted((left, right) => left.atMs - right.atMs);
  let most = 0;
  let sum = 0;
  let from = 0;
  for (const { atMs, amount } of ordered) {
    sum += amount;
    for (let first = ordered[from]; first !== undefined && atMs - first.atMs > spanMs; first = ordered[from]) {
      sum -= first.amount;
      from += 1;
    }
    most = Math.max(most, sum);
  }
  return most;
}

export interface Utilisation {
  /** whole spans that were looked at */
  readonly spans: number;
  /** what was charged in them ÷ what could have been */
  readonly ratio: number;
}

/** How much of a limit its clients got, from the second span on: the first begins empty and takes the whole limit at once. */
export function utilisationOf(
  charges: readonly Charge[],
  { limit, spanMs, untilMs }: { limit: number; spanMs: number; untilMs: number },
): Utilisation {
  const first = charges.reduce((least, { atMs }) => Math.min(least, atMs), Number.POSITIVE_INFINITY);
  const fromMs = first + spanMs;
  const spans = Math.max(0, Math.floor((untilMs - fromMs) / spanMs));
  const endMs = fromMs + spans * spanMs;
  const sum = charges.reduce((total, { atMs, amount }) => (atMs >= fromMs && atMs < endMs ? total + amount : total), 0);
  return { spans, ratio: spans === 0 ? 0 : sum / (limit * spans) };
}
