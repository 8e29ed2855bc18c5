/**
 * How many repetitions a channel may still get: at most one for every five of its requests, so that a provider in trouble is not sent twice as much. A bucket of fifths: a
 * request puts one in, a repetition takes five out. A quiet channel has a few in hand, which come back slowly. Plain values; time comes in as an argument.
 */
export interface RetryBudget {
  readonly fifths: number;
  /** when it was last looked at */
  readonly atMs: number;
}

const costOfRetry = 5;
/** What a quiet channel has in hand, and how soon one of them is there again. */
const inHand = 3;
const refillMs = 10_000;
/** What a busy time leaves behind for the next moment; more would be a burst when it ends. */
const most = 50 * costOfRetry;

export function makeRetryBudget(nowMs: number): RetryBudget {
  return { fifths: inHand * costOfRetry, atMs: nowMs };
}

/** A request was sent to the channel for the first time. */
export function depositRequest(budget: RetryBudget, nowMs: number): RetryBudget {
  const { fifths, atMs } = refill(budget, nowMs);
  return { fifths: Math.min(most, fifths + 1), atMs };
}

/** Undefined: no repetition now. */
export function withdrawRetry(budget: RetryBudget, nowMs: number): RetryBudget | undefined {
  const { fifths, atMs } = refill(budget, nowMs);
  return fifths < costOfRetry ? undefined : { fifths: fifths - costOfRetry, atMs };
}

/** In whole fifths, so that nothing is lost to rounding however often it is looked at. */
function refill({ fifths, atMs }: RetryBudget, nowMs: number): RetryBudget {
  const each = refillMs / costOfRetry;
  const steps = Math.max(0, Math.floor((nowMs - atMs) / each));
  return { fifths: Math.max(fifths, Math.min(inHand * costOfRetry, fifths + steps)), atMs: atMs + steps * each };
}
