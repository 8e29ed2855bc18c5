import type { Clock } from '../../runtime/clock.ts';

export interface ShrinkGuardOptions {
  readonly clock: Clock;
  /** how many keys are published */
  readonly published: () => number;
  /** how many more are missing from the list of VirtualKeys, nobody knows why */
  readonly absent: () => number;
}

/** A withdrawal that nobody asked for waits until there were no more of them for so long: only then it is known how many they are. */
const calmMs = 5_000;
/** So long those that were let through count along, so that a slow wave is noticed as well as a fast one. */
const rememberedMs = 600_000;
const mostKeys = 20;
const mostShare = 0.3;

export interface Judgement {
  /** may go now */
  readonly released: readonly string[];
  /** too many at once: they stay published */
  readonly blocked: boolean;
  /** when to ask again, if any wait for calm */
  readonly waitMs: number | undefined;
}

/**
 * Stands between the reconcilers and the snapshot when keys would leave it though nobody has deleted them and nobody has ended their credentials: a lost Secret, a list that
 * came back too short, a bug of ours. More than 20 keys that are more than 30 % of the published ones stay, until they are fewer or somebody allows it.
 */
export class ShrinkGuard {
  readonly #options: ShrinkGuardOptions;
  readonly #held = new Map<string, number>();
  readonly #letThrough = new Map<string, number>();
  #latestMs = Number.NEGATIVE_INFINITY;

  constructor(options: ShrinkGuardOptions) {
    this.#options = options;
  }

  /** how many wait */
  get size(): number {
    return this.#held.size;
  }

  ids(): readonly string[] {
    return [...this.#held.keys()];
  }

  has(id: string): boolean {
    return this.#held.has(id);
  }

  /** A key would leave the snapshot for no reason that anybody gave. @returns whether it has to stay for now */
  holds(id: string): boolean {
    const nowMs = this.#options.clock.now();
    this.#forget(nowMs);
    // With so few nothing could be too many.
    if (this.#options.published() + this.#letThrough.size <= mostKeys) {
      this.#letThrough.set(id, nowMs);
      return false;
    }
    if (!this.#held.has(id)) {
      this.#held.set(id, nowMs);
      this.#latestMs = nowMs;
    }
    return true;
  }

  /** It is to stay published after all, or somebody wants it to go. */
  forget(id: string, isBack: boolean): void {
    this.#held.delete(id);
    if (isBack) this.#letThrough.delete(id);
  }

  judge(): Judgement {
    const nowMs = this.#options.clock.now();
    this.#forget(nowMs);
    if (this.#held.size === 0) return { released: [], blocked: false, waitMs: undefined };
    const vanished = this.#held.size + this.#letThrough.size + this.#options.absent();
    const blocked = vanished > mostKeys && vanished > mostShare * (this.#options.published() + this.#letThrough.size);
    const calmInMs = this.#latestMs + calmMs - nowMs;
    if (blocked || calmInMs > 0) return { released: [], blocked, waitMs: blocked ? calmMs : calmInMs };
    return { released: this.release(), blocked: false, waitMs: undefined };
  }

  /** Lets all of them go. */
  release(): readonly string[] {
    const released = [...this.#held.keys()];
    const nowMs = this.#options.clock.now();
    for (const id of released) this.#letThrough.set(id, nowMs);
    this.#held.clear();
    return released;
  }

  #forget(nowMs: number): void {
    for (const [id, atMs] of this.#letThrough) {
      if (nowMs - atMs < rememberedMs) return;
      this.#letThrough.delete(id);
    }
  }
}
