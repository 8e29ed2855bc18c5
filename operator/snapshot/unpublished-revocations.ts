import { isSuperseded, mergeRevocations, type Revocation } from '../../core/revocation.ts';
import { mostRevocations, revocationsSecretName } from '../../core/revocations-document.ts';
import type { SnapshotDocument } from '../../core/snapshot-parse.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import { snapshotSchema } from '../../core/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { PublishMeters } from './publish-meters.ts';
import type { Bucket } from './snapshot-bucket.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import { toUnpublished } from '../translate/unpublished.ts';

export interface UnpublishedRevocationsOptions {
  readonly store: SnapshotStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly meters: PublishMeters;
  /** the shards that could not be written */
  readonly failing: () => Iterable<Bucket>;
  /** what the proxies have been told of a key, and what they should be */
  readonly published: (keyId: string) => KeyRecord | undefined;
  readonly desired: (keyId: string) => KeyRecord | undefined;
}

/** Of one document; hex digits shrink to a half, and a Secret takes 1 MiB. */
const mostCharacters = 1_500_000;

/**
 * Revocations whose shards cannot be written go to a small Secret of their own, which every proxy sets above the shards, until the shard with the same or a later state is published.
 * It is made when it is first needed, and at rest it is empty.
 */
export class UnpublishedRevocations {
  readonly #options: UnpublishedRevocationsOptions;
  readonly #entries = new Map<string, Revocation>();

  constructor(options: UnpublishedRevocationsOptions) {
    this.#options = options;
  }

  /** What a former leader has left. */
  adopt(document: SnapshotDocument | undefined): void {
    for (const entry of document?.kind === 'revocations' ? document.entries : []) this.#entries.set(keyOf(entry), entry);
  }

  get size(): number {
    return this.#entries.size;
  }

  async work(): Promise<void> {
    const { store, log, meters } = this.#options;
    this.#gather();
    meters.revocations.set(this.#entries.size);
    const secret = store.of(revocationsSecretName);
    if (this.#entries.size === 0 && !secret.exists) return;
    const all = [...this.#entries.values()].toSorted(byImportance);
    const entries = toBounded(all);
    if (entries.length < all.length)
      log.error(
        { event: 'snapshot_revocations_left_out', written: entries.length, all: all.length },
        'not all revocations fit beside the snapshot',
      );
    await store.write(store.encode({ kind: 'revocations', schema: snapshotSchema, minReader: snapshotSchema, entries }));
  }

  #gather(): void {
    const { failing, published } = this.#options;
    for (const [key, known] of this.#entries) {
      const entry = this.#toCurrent(known);
      if (isSettled(entry, published(entry.keyId))) this.#entries.delete(key);
      else this.#entries.set(key, entry);
    }
    for (const bucket of failing()) for (const entry of this.#toMissing(bucket)) this.#add(entry);
  }

  /** A key may have been resumed meanwhile, which its shard does not say either. */
  #toCurrent(entry: Revocation): Revocation {
    const wanted = this.#options.desired(entry.keyId);
    const isResumed = wanted?.uid === entry.uid && wanted.state === 'Active' && wanted.gen > entry.gen;
    return entry.state === 'Suspended' && isResumed ? { ...entry, state: 'Active', gen: wanted.gen } : entry;
  }

  /** What a shard should say and does not. */
  #toMissing({ shard, desired }: Bucket): Revocation[] {
    if (shard.kind !== 'keys') return [];
    const changed = [...shard.written].filter(([id, { record }]) => desired.get(id) !== record);
    const nowMs = this.#options.clock.now();
    return changed.flatMap(([id, { record }]) => toUnpublished(record as KeyRecord, desired.get(id) as KeyRecord | undefined, nowMs) ?? []);
  }

  #add(entry: Revocation): void {
    const known = this.#entries.get(keyOf(entry));
    this.#entries.set(keyOf(entry), known === undefined ? entry : mergeRevocations(known, entry));
  }
}

/** One that lifts a suspension is needed as long as the proxies have not been told so by the shard. */
function isSettled(entry: Revocation, record: KeyRecord | undefined): boolean {
  const lifts = entry.state === 'Active' && record !== undefined && record.uid === entry.uid && record.gen < entry.gen;
  return !lifts && isSuperseded(entry, record);
}

function keyOf({ keyId, uid }: Revocation): string {
  return `${keyId} ${uid}`;
}

const importance: Readonly<Record<Revocation['state'], number>> = { Deleted: 0, Revoked: 0, Active: 1, Suspended: 2 };

function byImportance(left: Revocation, right: Revocation): number {
  return importance[left.state] - importance[right.state] || (keyOf(left) < keyOf(right) ? -1 : 1);
}

function toBounded(all: readonly Revocation[]): readonly Revocation[] {
  let characters = 0;
  const beyond = all.findIndex((entry) => (characters += JSON.stringify(entry).length) > mostCharacters);
  return all.slice(0, Math.min(mostRevocations, beyond < 0 ? all.length : beyond));
}
