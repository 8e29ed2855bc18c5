import { snapshotIndexName } from '../../core/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { SnapshotLayout } from '../../core/snapshot-layout.ts';
import { epochOf, isSameLayout } from '../../core/snapshot-layout.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { WorkQueue } from '../queue/work-queue.ts';

export interface FormerEpochsOptions {
  readonly store: SnapshotStore;
  readonly queue: Pick<WorkQueue, 'addAfter'>;
  readonly clock: Clock;
  /** in force */
  readonly layout: () => SnapshotLayout;
  /** that is being written */
  readonly next: () => SnapshotLayout | undefined;
}

export const formerEpochsItem = 'former epochs';

/** So long proxies may take to follow the index before the shards of the former epoch go. */
const followMs = 600_000;

/** Shards of epochs that are not in force any more, or never were because nobody has finished them. */
export class FormerEpochs {
  readonly #options: FormerEpochsOptions;
  /** since when an epoch is not in force any more, or is known not to be */
  readonly #sinceMs = new Map<number, number>();

  constructor(options: FormerEpochsOptions) {
    this.#options = options;
  }

  /** From here on those that are new to us have 10 minutes. */
  start(): void {
    const { clock, queue } = this.#options;
    const epochs = new Set(this.#find().map(({ epoch }) => epoch));
    for (const epoch of this.#sinceMs.keys()) if (!epochs.has(epoch)) this.#sinceMs.delete(epoch);
    for (const epoch of epochs) if (!this.#sinceMs.has(epoch)) this.#sinceMs.set(epoch, clock.now());
    if (epochs.size > 0) queue.addAfter(formerEpochsItem, Math.min(...this.#sinceMs.values()) + followMs - clock.now());
  }

  async work(): Promise<void> {
    const { store, queue, clock, layout } = this.#options;
    const due = this.#find().filter(({ epoch }) => clock.now() - (this.#sinceMs.get(epoch) ?? clock.now()) >= followMs);
    // Asked once more: nothing else stands between a mistake of ours and the shards that the proxies of tomorrow start with.
    const index = due.length === 0 ? undefined : await store.read(snapshotIndexName);
    const isSure = index?.kind === 'index' && isSameLayout(index, layout());
    for (const { name } of isSure ? due : []) if (this.#isStale(name)) await store.remove(name);
    if (due.length > 0 && !isSure) return queue.addAfter(formerEpochsItem, followMs);
    this.start();
  }

  #find(): readonly { readonly name: string; readonly epoch: number }[] {
    const stale = this.#options.store.names().filter((name) => this.#isStale(name));
    return stale.map((name) => ({ name, epoch: epochOf(name) ?? 0 }));
  }

  #isStale(name: string): boolean {
    const epoch = epochOf(name);
    return epoch !== undefined && epoch !== this.#options.layout().epoch && epoch !== this.#options.next()?.epoch;
  }
}
