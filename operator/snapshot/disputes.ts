import type { Shard } from '../../core/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import { toBackoffMs } from '../queue/backoff.ts';

/** Somebody else has published something else of a key or Channel than we would. */
export interface Dispute {
  /** how long what they have published has to stand; 0: it has to be looked at past the watches now */
  readonly waitMs: number;
  /** it was looked at: from here on we may publish what we know of it, unless there was another dispute meanwhile */
  readonly settle: () => void;
}

interface Entry {
  readonly count: number;
  readonly atMs: number;
  readonly dueMs: number;
  open: boolean;
}

const backoff = { baseMs: 500, maximumMs: 60_000 };
/** So long after a dispute the watches may still be behind, and what they show of it is not believed. */
const quietMs = 600_000;

/**
 * What was in dispute with another writer of the snapshot. At the first time it is looked at anew at once, then after waits that grow, so that two writers with different views do not
 * write over each other without end.
 */
export class Disputes {
  readonly #options: { readonly clock: Clock; readonly random: () => number };
  /** oldest first */
  readonly #entries = new Map<string, Entry>();

  constructor(options: { readonly clock: Clock; readonly random: () => number }) {
    this.#options = options;
  }

  begin(kind: Shard['kind'], id: string): void {
    const { clock, random } = this.#options;
    const nowMs = clock.now();
    const count = this.#of(kind, id)?.count ?? 0;
    const waitMs = count === 0 ? 0 : toBackoffMs({ attempt: count - 1, ...backoff, random });
    this.#entries.delete(`${kind}/${id}`);
    this.#entries.set(`${kind}/${id}`, { count: count + 1, atMs: nowMs, dueMs: nowMs + waitMs, open: true });
    for (const [oldest, { atMs, open }] of this.#entries) {
      if (nowMs - atMs < quietMs) return;
      if (!open) this.#entries.delete(oldest);
    }
  }

  isOpen(kind: Shard['kind'], id: string): boolean {
    return this.#of(kind, id)?.open === true;
  }

  /** undefined: there was none of late, and the watches may be believed */
  get(kind: Shard['kind'], id: string): Dispute | undefined {
    const entry = this.#of(kind, id);
    if (entry === undefined) return undefined;
    const waitMs = entry.open ? Math.max(0, entry.dueMs - this.#options.clock.now()) : 0;
    return { waitMs, settle: () => void (entry.open = false) };
  }

  #of(kind: Shard['kind'], id: string): Entry | undefined {
    const entry = this.#entries.get(`${kind}/${id}`);
    return entry !== undefined && (entry.open || this.#options.clock.now() - entry.atMs < quietMs) ? entry : undefined;
  }
}
