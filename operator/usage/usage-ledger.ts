import { countEvent, type KeyUsage } from '../../core/key-usage.ts';
import { compareStreamIds, firstStreamId, timeOfStreamId } from '../../core/usage-stream.ts';
import { RecentRequests } from './recent-requests.ts';
import { UsageBucket } from './usage-bucket.ts';
import type { TagEntries, UsagePlace } from './usage-source.ts';

export type EntryFate = 'counted' | 'counted_before' | 'duplicate' | 'unreadable';

export interface UsageLedgerOptions {
  readonly buckets: number;
  /** which of them a key belongs to */
  readonly bucketOf: (keyId: string) => number;
  /** something is known of a key that was not known before; `isUse`: it was used */
  readonly onChange: (keyId: string, isUse: boolean) => void;
}

/**
 * What every key has used, from the checkpoints and from the entries of the Streams since. Each entry counts once: not if the checkpoint of its key's bucket goes up to it, and
 * not if its request was counted already. Nothing here waits for anything.
 */
export class UsageLedger {
  readonly buckets: readonly UsageBucket[];
  readonly #options: UsageLedgerOptions;
  readonly #recent = new RecentRequests();
  /** tag → the last entry that was read */
  readonly #positions = new Map<string, string>();
  readonly #acknowledged = new Map<string, string>();

  constructor(options: UsageLedgerOptions) {
    this.#options = options;
    this.buckets = Array.from({ length: options.buckets }, (_, index) => new UsageBucket(index, options.buckets));
  }

  /** tag → up to where was read */
  get positions(): ReadonlyMap<string, string> {
    return this.#positions;
  }

  get size(): number {
    let size = 0;
    for (const bucket of this.buckets) size += bucket.size;
    return size;
  }

  get(keyId: string): KeyUsage | undefined {
    return this.bucketOf(keyId).get(keyId);
  }

  *keys(): Iterable<KeyUsage> {
    for (const bucket of this.buckets) yield* bucket.keys();
  }

  bucketOf(keyId: string): UsageBucket {
    const bucket = this.buckets[this.#options.bucketOf(keyId)];
    if (bucket === undefined) throw new TypeError('a key is in a bucket that is not there');
    return bucket;
  }

  /** Where to begin, from what another leader has acknowledged. */
  open({ tag, acknowledged, entries }: UsagePlace): void {
    this.#positions.set(tag, acknowledged);
    this.#acknowledged.set(tag, acknowledged);
    for (const { event } of entries) if (event !== undefined) this.#recent.add(event.keyId, event.requestId);
  }

  take({ tag, entries }: TagEntries): ReadonlyMap<EntryFate, number> {
    const fates = new Map<EntryFate, number>();
    for (const entry of entries) {
      const fate = this.#takeOne(tag, entry);
      fates.set(fate, (fates.get(fate) ?? 0) + 1);
      this.#positions.set(tag, entry.id);
    }
    return fates;
  }

  change(keyId: string, change: (known: KeyUsage) => KeyUsage): void {
    if (this.bucketOf(keyId).change(keyId, change)) this.#options.onChange(keyId, false);
  }

  /** The last entries of the Streams as they are: one that is before our place belongs to a Stream that has begun anew. Gives the tags. */
  findRestarted(lastIds: ReadonlyMap<string, string>): readonly string[] {
    const restarted = [...lastIds].filter(([tag, id]) => compareStreamIds(id, this.#positions.get(tag) ?? firstStreamId) < 0);
    for (const [tag] of restarted) {
      this.#positions.set(tag, firstStreamId);
      this.#acknowledged.set(tag, firstStreamId);
      for (const bucket of this.buckets) bucket.restart(tag);
    }
    return restarted.map(([tag]) => tag);
  }

  /** tag → up to where everything stands in checkpoints, where that is further than was acknowledged. */
  toAcknowledge(): ReadonlyMap<string, string> {
    const covered = new Map(this.#positions);
    for (const bucket of this.buckets) {
      for (const [tag, id] of bucket.uncovered()) {
        const before = toIdBefore(id);
        if (compareStreamIds(before, covered.get(tag) ?? firstStreamId) < 0) covered.set(tag, before);
      }
    }
    return new Map([...covered].filter(([tag, id]) => compareStreamIds(id, this.#acknowledged.get(tag) ?? firstStreamId) > 0));
  }

  acknowledged(places: ReadonlyMap<string, string>): void {
    for (const [tag, id] of places) this.#acknowledged.set(tag, id);
  }

  /** entries that were read and stand in no checkpoint */
  get lag(): number {
    let lag = 0;
    for (const bucket of this.buckets) lag += bucket.uncoveredCount;
    return lag;
  }

  /** tag → up to where was acknowledged, of those of which anything was */
  get places(): ReadonlyMap<string, string> {
    return new Map([...this.#acknowledged].filter(([, id]) => id !== firstStreamId));
  }

  #takeOne(tag: string, { id, event }: TagEntries['entries'][number]): EntryFate {
    if (event === undefined) return 'unreadable';
    const { keyId, requestId } = event;
    const isNew = this.#recent.add(keyId, requestId);
    const bucket = this.bucketOf(keyId);
    if (bucket.isCounted(tag, id)) return 'counted_before';
    if (!isNew) return 'duplicate';
    bucket.count(keyId, { tag, id, change: (known) => countEvent(known, event, timeOfStreamId(id)) });
    this.#options.onChange(keyId, true);
    return 'counted';
  }
}

/** The highest number that an id of Redis can have. */
const highestNumber = '18446744073709551615';

function toIdBefore(id: string): string {
  const [ms = '0', number = '0'] = id.split('-');
  if (number !== '0') return `${ms}-${BigInt(number) - 1n}`;
  return ms === '0' ? firstStreamId : `${BigInt(ms) - 1n}-${highestNumber}`;
}
