/**
 * A sliding window of sub-buckets: "at most `limit` in any span" at a cost that does not depend on how fine the buckets are.
 *
 * What counts is the bucket of this moment and the k before it, all of them fully, k × widthMs being the span. Counting only k in all would forget charges up to one bucket
 * too early and so admit nearly twice the limit in an unlucky span. The one bucket that lies across the far edge of the span goes as soon as its LATEST charge is older than
 * the span: it is still never forgotten too early, and the longest wait is the span itself instead of the span and a bucket (a client is never told more than 60 s for a minute).
 *
 * A reservation is a charge to the bucket of its deadline, in the future. It counts from now on, and if nobody ever settles it, it is used tokens from its deadline on, without
 * any sweep that somebody would have to run. Settling takes it out of that bucket again.
 *
 * runtime/window.lua is the same algorithm; the contract suite holds the two together.
 */
export interface WindowShape {
  readonly widthMs: number;
  /** full buckets in a span */
  readonly k: number;
}

export const minuteWindow: WindowShape = { widthMs: 2_000, k: 30 };
export const dayWindow: WindowShape = { widthMs: 900_000, k: 96 };

export function shapeOf(span: 'minute' | 'day'): WindowShape {
  return span === 'minute' ? minuteWindow : dayWindow;
}

/** How long a window of this shape reaches back. */
export function spanMs(shape: WindowShape): number {
  return shape.widthMs * shape.k;
}

interface Bucket {
  readonly count: number;
  /** the latest charge; kept when the charge is refunded, because forgetting late is safe */
  readonly lastMs: number;
}

/** State of one window. All amounts are integers. Changed only by `charge`, `refund` and `advance`. */
export interface Window {
  /** the highest bucket index seen */
  index: number;
  /** the lowest bucket index that still counts */
  low: number;
  /** what counts: everything from `low` on, reservations included */
  sum: number;
  /** rises whenever the counts were moved because the clock had gone back: earlier bucket indexes mean nothing from then on */
  anchor: number;
  buckets: Map<number, Bucket>;
}

/** Where a charge went, so that exactly it can be refunded. */
export interface Charge {
  readonly bucket: number;
  readonly anchor: number;
  readonly amount: number;
}

/** What the window amounts to at a moment. */
export interface View {
  readonly index: number;
  readonly low: number;
  readonly sum: number;
  /** the moment that counts: later than the clock while the clock is behind the stored bucket */
  readonly atMs: number;
  /** the clock is behind by more than one bucket: all counts move to the bucket of this moment */
  readonly reanchor: boolean;
}

export function emptyWindow(): Window {
  return { index: 0, low: 0, sum: 0, anchor: 0, buckets: new Map() };
}

/** The window as it is at `nowMs`. Changes nothing, so that a refused request leaves no trace. */
export function viewAt(window: Window, shape: WindowShape, nowMs: number): View {
  const index = Math.floor(nowMs / shape.widthMs);
  if (index < window.index - 1) return { index, low: index, sum: window.sum, atMs: nowMs, reanchor: window.buckets.size > 0 };
  if (index < window.index) return rolled(window, shape, window.index * shape.widthMs);
  return rolled(window, shape, nowMs);
}

/** Brings the state to `nowMs`: buckets that do not count any more are forgotten. */
export function advance(window: Window, shape: WindowShape, nowMs: number): View {
  const view = viewAt(window, shape, nowMs);
  if (view.reanchor) {
    window.anchor += 1;
    window.buckets = new Map([[view.index, { count: view.sum, lastMs: view.atMs }]]);
  } else {
    for (const index of goneBuckets(window, view.low)) window.buckets.delete(index);
  }
  window.index = view.index;
  window.low = view.low;
  window.sum = view.sum;
  return view;
}

/** Counts `amount` at `atMs`: now for what is used, the deadline for what is reserved. The state must have been advanced to now. */
export function charge(window: Window, shape: WindowShape, atMs: number, amount: number): Charge {
  const bucket = Math.max(window.index, Math.floor(atMs / shape.widthMs));
  const before = window.buckets.get(bucket);
  const lastMs = Math.max(atMs, before?.lastMs ?? 0, bucket * shape.widthMs);
  window.buckets.set(bucket, { count: (before?.count ?? 0) + amount, lastMs });
  window.sum += amount;
  return { bucket, anchor: window.anchor, amount };
}

/** Takes a charge back from the bucket that was charged, or from nowhere once that has aged out or moved; no bucket goes below 0. */
export function refund(window: Window, { bucket, anchor, amount }: Charge): void {
  const charged = window.buckets.get(bucket);
  if (charged === undefined || anchor !== window.anchor || bucket < window.low) return;
  const back = Math.min(amount, charged.count);
  window.buckets.set(bucket, { count: charged.count - back, lastMs: charged.lastMs });
  window.sum -= back;
}

/**
 * Milliseconds until `need` more would fit under `limit` if nothing else changed; 0 = it fits now. Exact for charges; for reservations it assumes that they turn into use at
 * their deadline, which is the latest that can happen. `need` must not be above `limit`. The only part that looks at every bucket, so only refusals pay for it.
 */
export function timeUntilFits(
  window: Window,
  shape: WindowShape,
  { nowMs, need, limit }: { nowMs: number; need: number; limit: number },
): number {
  const view = viewAt(window, shape, nowMs);
  let excess = view.sum + need - limit;
  if (excess <= 0) return 0;
  if (view.reanchor) return spanMs(shape) + 1;
  const counted = [...window.buckets].filter(([index]) => index >= view.low).toSorted(([left], [right]) => left - right);
  for (const [, bucket] of counted) {
    excess -= bucket.count;
    if (excess <= 0) return bucket.lastMs + spanMs(shape) + 1 - nowMs;
  }
  return spanMs(shape) + 1; // not reached while sum is the sum of the buckets
}

/** Milliseconds until nothing would count any more if nothing else came; what is reserved leaves a span after its deadline. */
export function timeUntilEmpty(window: Window, shape: WindowShape, nowMs: number): number {
  const view = viewAt(window, shape, nowMs);
  if (view.sum === 0) return 0;
  if (view.reanchor) return spanMs(shape) + 1;
  let latestMs = 0;
  for (const [index, { count, lastMs }] of window.buckets) {
    if (index >= view.low && count > 0) latestMs = Math.max(latestMs, lastMs);
  }
  return Math.max(0, latestMs + spanMs(shape) + 1 - nowMs);
}

/** The moment from which a charge at `chargedAtMs` counts no more, whatever the clock did in between by a bucket: then the state may be thrown away. */
export function countsUntilMs(shape: WindowShape, chargedAtMs: number): number {
  return chargedAtMs + spanMs(shape) + 2 * shape.widthMs;
}

function rolled(window: Window, shape: WindowShape, atMs: number): View {
  const index = Math.floor(atMs / shape.widthMs);
  const edge = index - shape.k;
  let low = Math.max(window.low, edge);
  const last = window.buckets.get(edge)?.lastMs;
  // strictly older: the clock is read in whole milliseconds, and two readings a span apart may be less than a span apart
  if (low === edge && (last === undefined || last + spanMs(shape) < atMs)) low = edge + 1;
  let sum = window.sum;
  for (const gone of goneBuckets(window, low)) sum -= window.buckets.get(gone)?.count ?? 0;
  return { index, low, sum, atMs, reanchor: false };
}

/** Indexes below `low` that still have a bucket: each is met once in its life, after a long pause by looking at what is there. */
function goneBuckets(window: Window, low: number): number[] {
  if (low - window.low > window.buckets.size) return [...window.buckets.keys()].filter((index) => index < low);
  const gone: number[] = [];
  for (let index = window.low; index < low; index += 1) if (window.buckets.has(index)) gone.push(index);
  return gone;
}
