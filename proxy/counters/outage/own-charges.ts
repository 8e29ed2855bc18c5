import { shapeOf, spanMs, type WindowShape } from '../../../core/limit.ts';
import type { LimitWindow } from '../counters.ts';

/** What one process has charged to one bucket of one window: decided by itself, or by the store. */
export interface OwnBucket {
  here: number;
  shared: number;
  /** the latest charge, by the clock of the store */
  lastMs: number;
}

export interface OwnWindow {
  readonly name: string;
  readonly span: LimitWindow['span'];
  readonly buckets: Map<number, OwnBucket>;
}

export interface Charged {
  readonly keyId: string;
  readonly window: LimitWindow;
  readonly atMs: number;
  /** negative: given back */
  readonly amount: number;
  /** decided by this process, so that the store knows nothing of it */
  readonly here: boolean;
}

/** Windows looked at per charge: two would already outrun what one charge adds. */
const sweptPerCharge = 4;

/**
 * What this process has charged to each bucket within the last span: what the store has to be told of after an outage, and what it has to be reminded of when it comes back
 * without its memory. Bounded by what was charged within the longest span.
 */
export class OwnCharges {
  readonly #keys = new Map<string, Map<string, OwnWindow>>();
  readonly #unknown = new Set<string>();
  #sweep = this.#keys.entries();

  add({ keyId, window, atMs, amount, here }: Charged): void {
    const shape = shapeOf(window.span);
    const { buckets } = this.#window(keyId, window);
    const index = Math.floor(atMs / shape.widthMs);
    const bucket = buckets.get(index) ?? { here: 0, shared: 0, lastMs: 0 };
    if (here) bucket.here = Math.max(0, bucket.here + amount);
    else bucket.shared = Math.max(0, bucket.shared + amount);
    bucket.lastMs = Math.max(bucket.lastMs, atMs);
    buckets.set(index, bucket);
    if (here) this.#unknown.add(keyId);
    for (let step = 0; step < sweptPerCharge; step += 1) this.#forgetSome(atMs);
  }

  /** Keys with charges that the store knows nothing of. */
  get unknownKeys(): ReadonlySet<string> {
    return this.#unknown;
  }

  get keys(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** The windows of a key with what still counts at `nowMs`. */
  windowsOf(keyId: string, nowMs: number): readonly OwnWindow[] {
    const windows = [...(this.#keys.get(keyId)?.values() ?? [])];
    for (const window of windows) forgetOld(window, nowMs);
    return windows.filter(({ buckets }) => buckets.size > 0);
  }

  /** The store has been told: from now on it knows of what was decided here. */
  told(keyId: string): void {
    this.#unknown.delete(keyId);
    for (const { buckets } of this.#keys.get(keyId)?.values() ?? []) {
      for (const bucket of buckets.values()) {
        bucket.shared += bucket.here;
        bucket.here = 0;
      }
    }
  }

  get size(): number {
    return this.#keys.size;
  }

  #window(keyId: string, { name, span }: LimitWindow): OwnWindow {
    const windows = this.#keys.get(keyId) ?? new Map<string, OwnWindow>();
    this.#keys.set(keyId, windows);
    const known = windows.get(`${span} ${name}`) ?? { name, span, buckets: new Map() };
    windows.set(`${span} ${name}`, known);
    return known;
  }

  #forgetSome(nowMs: number): void {
    const next = this.#sweep.next();
    if (next.done) {
      this.#sweep = this.#keys.entries();
      return;
    }
    const [keyId, windows] = next.value;
    for (const [name, window] of windows) {
      forgetOld(window, nowMs);
      if (window.buckets.size === 0) windows.delete(name);
    }
    if (windows.size === 0) {
      this.#keys.delete(keyId);
      this.#unknown.delete(keyId);
    }
  }
}

/** Does a charge of that moment still count? Strictly older than the span, as in the windows themselves. */
function counts(lastMs: number, shape: WindowShape, nowMs: number): boolean {
  return lastMs + spanMs(shape) >= nowMs;
}

/** Charges come in the order of time, give or take a bucket, and so do the buckets of a map. */
function forgetOld({ span, buckets }: OwnWindow, nowMs: number): void {
  for (const [index, { lastMs }] of buckets) {
    if (counts(lastMs, shapeOf(span), nowMs)) return;
    buckets.delete(index);
  }
}
