import { isDeepStrictEqual } from 'node:util';
import type { Shard } from '../../core/snapshot.ts';
import type { SnapshotRecord } from './snapshot-documents.ts';
import type { Bucket, ShardState, Written } from './snapshot-bucket.ts';
import { recordsOf } from './snapshot-bucket.ts';

interface TakenOver {
  /** what somebody else has written, with our own objects where it says the same */
  readonly theirs: ReadonlyMap<string, SnapshotRecord>;
  /** what they have changed and we would have written over; undefined: they have taken it out */
  readonly disputed: ReadonlyMap<string, SnapshotRecord | undefined>;
}

/**
 * What is to become of a shard that somebody else has written since we knew it (`base`). What they have left as it was is ours to change. What they have changed stands, for they may
 * know more than we do: until its key has been looked at past the watches it is neither replaced nor brought back. Only a later `gen` of the same object is surely newer.
 */
function takeOver(options: {
  readonly base: ReadonlyMap<string, Written>;
  readonly found: Iterable<SnapshotRecord>;
  readonly wanted: ReadonlyMap<string, SnapshotRecord>;
}): TakenOver {
  const { base, wanted } = options;
  const found = new Map([...options.found].map((record) => [record.id, record]));
  const theirs = new Map<string, SnapshotRecord>();
  const disputed = new Map<string, SnapshotRecord | undefined>();
  for (const id of new Set([...found.keys(), ...base.keys(), ...wanted.keys()])) {
    const [known, their, our] = [base.get(id)?.record, found.get(id), wanted.get(id)];
    const same = [known, our].find((record) => isDeepStrictEqual(record, their)) ?? their;
    if (same !== undefined) theirs.set(id, same);
    if (same === known || same === our || isLater(our, their)) continue;
    disputed.set(id, their);
  }
  return { theirs, disputed };
}

export interface ShardWrite {
  readonly bucket: Bucket;
  readonly shard: ShardState;
  /** of the whole bucket */
  readonly desired: Map<string, SnapshotRecord>;
}

/** The same for one shard of a bucket. What is to be written, and what the bucket desires, get what is disputed; the caller learns what is published, and whom to look at. */
export function takeOverShard(
  { bucket, shard, desired }: ShardWrite,
  found: Shard,
  hashOf: (id: string) => number,
): { readonly theirs: TakenOver['theirs']; readonly disputed: readonly string[] } {
  // A shard of the next epoch that we have not written yet says what the one in force does, but for what they have changed.
  const base = shard.complete ? shard.written : recordsOf(shard, bucket.shard.written, hashOf);
  const { theirs, disputed } = takeOver({ base, found: found.records, wanted: recordsOf(shard, desired, hashOf) });
  for (const [id, record] of disputed) {
    adoptRecord(desired, id, record);
    if (!isLater(bucket.desired.get(id), record)) adoptRecord(bucket.desired, id, record);
  }
  return { theirs, disputed: [...disputed.keys()] };
}

function adoptRecord(records: Map<string, SnapshotRecord>, id: string, record: SnapshotRecord | undefined): void {
  if (record === undefined) records.delete(id);
  else records.set(id, record);
}

/** Whether a record is surely newer than another one: of the same object, with a higher revocation counter. */
export function isLater(record: SnapshotRecord | undefined, than: SnapshotRecord | undefined): boolean {
  if (record === undefined || than === undefined || !('gen' in record) || !('gen' in than)) return false;
  return record.uid === than.uid && record.gen > than.gen;
}
