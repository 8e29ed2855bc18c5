import type { Shard } from '../../core/snapshot.ts';
import { snapshotIndexName } from '../../core/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { PublishMeters } from './publish-meters.ts';
import { ShrinkGuard } from './shrink-guard.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { WorkQueue } from '../queue/work-queue.ts';

/** On the index Secret, with the epoch in force as its value: what is withheld now may go. Used up by that. */
const allowDropAnnotation = 'keywright.dev/allow-drop';

export interface GuardedWithdrawalsOptions {
  readonly cluster: Pick<Cluster, 'recordEvent'>;
  readonly store: SnapshotStore;
  readonly queue: Pick<WorkQueue, 'add' | 'addAfter'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly meters: PublishMeters;
  readonly published: () => number;
  readonly absent: () => number;
  readonly epoch: () => number;
  readonly withdraw: (id: string) => void;
  readonly onPublished: (kind: Shard['kind'], ids: readonly string[]) => void;
}

const item = 'withdrawals';
/** So long after the start the permission may stand on the index before anything is withheld; later it would be one for an accident to come. */
const permissionMs = 60_000;

/** Keys that would leave the snapshot though nobody has asked for it: they wait for the guard, and for somebody who allows it. */
export class GuardedWithdrawals {
  readonly #options: GuardedWithdrawalsOptions;
  readonly #guard: ShrinkGuard;
  /** keys whose owners have been told */
  readonly #told = new Set<string>();
  #blocked = false;
  #openedMs: number | undefined;

  constructor(options: GuardedWithdrawalsOptions) {
    this.#options = options;
    this.#guard = new ShrinkGuard(options);
  }

  get message(): string {
    return 'too many keys would leave the snapshot at once without having been deleted; what is published stays in force until somebody has looked at it';
  }

  open(): void {
    this.#openedMs = this.#options.clock.now();
    this.#options.queue.add(item);
  }

  isWork(name: string): boolean {
    return name === item;
  }

  /** Whether this key stays published because too many would go. */
  blocks(id: string): boolean {
    return this.#blocked && this.#guard.has(id);
  }

  /** @returns whether this key has to stay published for now */
  holds(id: string): boolean {
    const holds = this.#guard.holds(id);
    if (holds) this.#options.queue.add(item);
    return holds;
  }

  /** `isBack`: it has a record again; otherwise somebody has ended it. */
  forget(id: string, isBack: boolean): void {
    this.#guard.forget(id, isBack);
    this.#told.delete(id);
    if (this.#blocked) this.#options.queue.add(item);
  }

  async work(): Promise<void> {
    if (this.#openedMs === undefined) return;
    if (await this.#isAllowed()) this.#withdraw(this.#guard.release());
    const { released, blocked, waitMs } = this.#guard.judge();
    this.#withdraw(released);
    this.#tell(blocked);
    if (waitMs !== undefined) this.#options.queue.addAfter(item, waitMs);
  }

  #withdraw(ids: readonly string[]): void {
    for (const id of ids) {
      this.#told.delete(id);
      this.#options.withdraw(id);
    }
  }

  #tell(blocked: boolean): void {
    const { meters, log, onPublished, epoch } = this.#options;
    meters.withheld.set(blocked ? this.#guard.size : 0);
    meters.blocked.set({ reason: 'guard' }, blocked ? 1 : 0);
    const wasBlocked = this.#blocked;
    this.#blocked = blocked;
    if (blocked && !wasBlocked) {
      const keys = this.#guard.size;
      log.error({ event: 'snapshot_blocked', keys, epoch: epoch() }, 'too many keys would leave the snapshot at once: they stay published');
      this.#record(
        'SnapshotBlocked',
        `${keys} or more keys would leave the snapshot without having been deleted; they stay in force. If that is meant, annotate this Secret with ${allowDropAnnotation}=${epoch()}`,
      );
    }
    if (!blocked && wasBlocked) log.info({ event: 'snapshot_unblocked' }, 'no key is withheld from leaving the snapshot any more');
    const untold = blocked ? this.#guard.ids().filter((id) => !this.#told.has(id)) : [];
    for (const id of untold) this.#told.add(id);
    if (untold.length > 0) onPublished('keys', untold);
  }

  /** Taken away before it is used: a crash in between asks for it again, instead of using it twice. */
  async #isAllowed(): Promise<boolean> {
    const { store, log, epoch, clock } = this.#options;
    const index = store.of(snapshotIndexName);
    const stated = index.metadata?.annotations?.[allowDropAnnotation];
    if (stated !== String(epoch())) return false;
    if (this.#guard.size === 0) {
      const leftMs = (this.#openedMs ?? 0) + permissionMs - clock.now();
      if (leftMs > 0) this.#options.queue.addAfter(item, leftMs);
      else if (await index.removeAnnotation(allowDropAnnotation))
        this.#record('SnapshotDropIgnored', `nothing is withheld: the annotation ${allowDropAnnotation} is removed`);
      return false;
    }
    if (!(await index.removeAnnotation(allowDropAnnotation))) return false;
    const keys = this.#guard.size;
    log.warn({ event: 'snapshot_drop_allowed', keys, epoch: epoch() }, 'keys leave the snapshot because somebody has allowed it');
    this.#record('SnapshotDropAllowed', `${keys} keys leave the snapshot; the annotation ${allowDropAnnotation} is used up`);
    return true;
  }

  #record(reason: string, message: string): void {
    const { cluster, store } = this.#options;
    cluster.recordEvent({ regarding: store.indexObject(), type: 'Warning', reason, message });
  }
}
