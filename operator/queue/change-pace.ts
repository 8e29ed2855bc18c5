import type { Clock } from '../../runtime/clock.ts';

/** Nobody who works by hand, and hardly a script, changes one object more often in a row … */
const burst = 10;
/** … and whoever does is followed once a second. */
const everyMs = 1_000;

interface Paced {
  /** when it is looked at; changes until then are seen together */
  dueMs: number;
  /** before it nothing more is due */
  nextMs: number;
}

/**
 * When a changed object is looked at: at once, unless it changes again and again. Each look costs a translation, a status and often a shard, of which only the last one counts; without
 * this whoever edits a few large objects without a pause has the operator, the API server and every proxy work for him at the speed of his own client.
 */
export class ChangePace {
  readonly #clock: Clock;
  /** of the last seconds only, longest unchanged first */
  readonly #paced = new Map<string, Paced>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** It has changed: how long to wait until it is looked at. */
  delayMs(item: string): number {
    const nowMs = this.#clock.now();
    const known = this.#paced.get(item);
    this.#paced.delete(item);
    const paced = known !== undefined && known.dueMs > nowMs ? known : toNext(known, nowMs);
    this.#paced.set(item, paced);
    this.#forget(nowMs);
    return paced.dueMs - nowMs;
  }

  /** How long until it will be looked at anyway; 0: nothing is due. */
  leftMs(item: string): number {
    return Math.max(0, (this.#paced.get(item)?.dueMs ?? 0) - this.#clock.now());
  }

  get size(): number {
    return this.#paced.size;
  }

  /** What has its whole burst again need not be remembered. */
  #forget(nowMs: number): void {
    for (const [item, { nextMs }] of this.#paced) {
      if (nextMs + (burst - 1) * everyMs > nowMs) return;
      this.#paced.delete(item);
    }
  }
}

function toNext(known: Paced | undefined, nowMs: number): Paced {
  const freeMs = Math.max(known?.nextMs ?? 0, nowMs - (burst - 1) * everyMs);
  return { dueMs: Math.max(freeMs, nowMs), nextMs: freeMs + everyMs };
}
