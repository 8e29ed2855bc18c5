import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../runtime/clock.ts';
import type { Cluster, ClusterObject } from './cluster/cluster.ts';
import { toBackoffMs } from './queue/backoff.ts';

export interface StatusWriterOptions {
  readonly cluster: Pick<Cluster, 'patchStatus'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly again: (item: string, delayMs: number) => void;
}

type WithStatus = ClusterObject & { readonly status?: unknown };

interface Known {
  readonly uid: string | undefined;
  /** as it was stored by us last; undefined: never */
  readonly status: unknown;
  /** version of the object that somebody else had changed when we wrote last */
  readonly lostAt: string | undefined;
  /** how often somebody else was in between, since there was a quiet period */
  readonly disputes: number;
  /** of the last dispute, or of the write */
  readonly atMs: number;
  /** until when we leave what somebody else has written */
  readonly dueMs: number | undefined;
  /** before it no further status of a large object is written, but for a burst */
  readonly freeMs: number;
}

const backoff = { baseMs: 500, maximumMs: 60_000 };
/**
 * The API server writes the whole object for a status, validates it and tells it to all who watch. Of a large one that is edited again and again it does so once in a while: after a burst it
 * rests for as long as its size deserves, 8 s for 32 KiB. Most objects are a tenth of that and do not rest.
 */
const largeBytes = 8_192;
const restMsPerKiB = 250;
const burst = 4;
/** So long without a dispute, and the next one is the first. Longer than the longest wait, or a dispute would never grow. */
const quietMs = 3 * backoff.maximumMs;

/**
 * Writes statuses, and gives way to whoever writes others over them: what undoes a write of ours is undone after a wait that grows with each time. Two operators that both lead
 * and see different things thus cost a few writes, whatever the API server would put up with.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  /** of the last minutes only, oldest first */
  readonly #known = new Map<string, Known>();

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** @returns the object as it is stored now; undefined: it comes back later. `item`: what to look at again */
  async write<T extends WithStatus>(item: string, object: T, status: unknown): Promise<T | undefined> {
    const { cluster, clock, again } = this.#options;
    const { uid, resourceVersion = '' } = object.metadata;
    const known = this.#of(item, object);
    const waitMs = this.#waitMs(item, object, known);
    if (waitMs > 0) {
      again(item, waitMs);
      return undefined;
    }
    const outcome = await cluster.patchStatus(object, status);
    if (outcome.outcome !== 'written') {
      again(item, this.#dispute(item, { ...known, lostAt: resourceVersion }));
      return undefined;
    }
    const { freeMs } = this.#restOf(object, known);
    this.#keep(item, { ...known, uid, status: outcome.object.status, lostAt: undefined, dueMs: undefined, atMs: clock.now(), freeMs });
    return outcome.object;
  }

  #of(item: string, { metadata: { uid } }: WithStatus): Known {
    const known = this.#known.get(item);
    const nowMs = this.#options.clock.now();
    const isCurrent = known !== undefined && known.uid === uid && nowMs - known.atMs < quietMs;
    return isCurrent ? known : { uid, status: undefined, lostAt: undefined, disputes: 0, atMs: nowMs, dueMs: undefined, freeMs: 0 };
  }

  #waitMs(item: string, object: WithStatus, known: Known): number {
    const isLost = known.lostAt !== undefined && known.lostAt === object.metadata.resourceVersion;
    const isUndone = known.status !== undefined && !isDeepStrictEqual(object.status, known.status);
    if (!isLost && !isUndone) return this.#restOf(object, known).waitMs;
    return known.dueMs === undefined ? this.#dispute(item, known) : known.dueMs - this.#options.clock.now();
  }

  /** `freeMs`: after a write */
  #restOf(object: WithStatus, { freeMs }: Known): { waitMs: number; freeMs: number } {
    const nowMs = this.#options.clock.now();
    const restMs = toRestMs(object);
    const fromMs = Math.max(freeMs, nowMs - (burst - 1) * restMs);
    return { waitMs: Math.max(0, fromMs - nowMs), freeMs: fromMs + restMs };
  }

  /** @returns how long to wait */
  #dispute(item: string, known: Known): number {
    const { clock, random } = this.#options;
    const waitMs = toBackoffMs({ attempt: known.disputes, ...backoff, random });
    this.#keep(item, { ...known, disputes: known.disputes + 1, atMs: clock.now(), dueMs: clock.now() + waitMs });
    return waitMs;
  }

  #keep(item: string, known: Known): void {
    this.#known.delete(item);
    this.#known.set(item, known);
    for (const [oldest, { atMs }] of this.#known) {
      if (known.atMs - atMs < quietMs) return;
      this.#known.delete(oldest);
    }
  }
}

function toRestMs(object: WithStatus): number {
  const { length } = JSON.stringify(object);
  return length < largeBytes ? 0 : Math.round(length / 1024) * restMsPerKiB;
}
