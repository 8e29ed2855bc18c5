import type { KeyRecord, Shard } from '../../core/snapshot.ts';
import { shardName } from '../../core/snapshot.ts';
import type { SnapshotLayout } from '../../core/snapshot-layout.ts';
import type { SnapshotRecord } from './snapshot-documents.ts';
import { toShard } from './snapshot-documents.ts';
import { bucketsOf } from '../../core/snapshot-layout.ts';
import type { Encoded, SnapshotStore } from './snapshot-store.ts';

export interface Written {
  readonly record: SnapshotRecord;
  /** when the shard that first had it in this form was written, milliseconds since 1970 */
  readonly atMs: number;
}

/** One shard of one epoch, and what was written to it last. */
export interface ShardState {
  readonly name: string;
  readonly kind: Shard['kind'];
  readonly index: number;
  readonly layout: SnapshotLayout;
  written: ReadonlyMap<string, Written>;
  /** of the document with just these records; `''` before there is one */
  revision: string;
  /** it was written in this layout, by us or by who was here before */
  complete: boolean;
  /** the last write failed: it may lack what the shard of the epoch in force has */
  behind: boolean;
}

/** What belongs into one shard of the epoch in force, and into the shards of the next one that take over from it. */
export interface Bucket {
  readonly shard: ShardState;
  readonly desired: Map<string, SnapshotRecord>;
  /** while an epoch with more shards is being written */
  children: readonly ShardState[];
  /** the index is there but the shard is not: proxies may still have it, so it is not written before all keys have been looked at */
  lost: boolean;
  urgent: boolean;
  firstChangeMs: number | undefined;
  lastChangeMs: number;
  /** a write that is under way, of this or of the bucket that this one has come from */
  running: Promise<void> | undefined;
}

export function makeShardState(layout: SnapshotLayout, kind: Shard['kind'], index: number): ShardState {
  return {
    name: shardName(layout.epoch, kind, index),
    kind,
    index,
    layout,
    written: new Map(),
    revision: '',
    complete: false,
    behind: false,
  };
}

export function makeBucket(shard: ShardState): Bucket {
  return {
    shard,
    desired: new Map(),
    children: [],
    lost: false,
    urgent: false,
    firstChangeMs: undefined,
    lastChangeMs: 0,
    running: undefined,
  };
}

/** Those of the records that belong into this shard. */
export function recordsOf<T>(shard: ShardState, records: ReadonlyMap<string, T>, hashOf: (id: string) => number): Map<string, T> {
  const buckets = bucketsOf(shard.layout, shard.kind);
  return new Map([...records].filter(([id]) => hashOf(id) % buckets === shard.index));
}

/** What takes over from a bucket in the next epoch; `news`: what proxies could not see before. */
export function toSuccessor(
  old: Bucket,
  child: ShardState,
  { hashOf, nowMs }: { readonly hashOf: (id: string) => number; readonly nowMs: number },
): { readonly bucket: Bucket; readonly news: readonly string[] } {
  const bucket = makeBucket(child);
  for (const [id, record] of recordsOf(child, old.desired, hashOf)) bucket.desired.set(id, record);
  const settled = toSettled(old.shard.written, new Map([...child.written].map(([id, { record }]) => [id, record])), nowMs);
  child.written = settled.written;
  const buckets = bucketsOf(child.layout, child.kind);
  return { bucket, news: settled.changed.filter((id) => hashOf(id) % buckets === child.index) };
}

/** Whether the shard was last written with just these records. */
export function isWritten({ written }: ShardState, records: ReadonlyMap<string, SnapshotRecord>): boolean {
  if (written.size !== records.size) return false;
  for (const [id, record] of records) if (written.get(id)?.record !== record) return false;
  return true;
}

/** The records as written now: those that stay as they were keep their time; with the ids of all that are not the same any more. */
export function toSettled(
  before: ReadonlyMap<string, Written>,
  records: ReadonlyMap<string, SnapshotRecord>,
  atMs: number,
): { readonly written: ReadonlyMap<string, Written>; readonly changed: readonly string[] } {
  const written = new Map<string, Written>();
  const changed: string[] = [];
  for (const [id, record] of records) {
    const known = before.get(id);
    // Records are replaced, never changed, so an unchanged one is the very same object.
    if (known?.record === record) written.set(id, known);
    else {
      written.set(id, { record, atMs });
      changed.push(id);
    }
  }
  for (const id of before.keys()) if (!records.has(id)) changed.push(id);
  return { written, changed };
}

export interface Fitting {
  readonly encoded: Encoded;
  /** that all of it would take */
  readonly wantedBytes: number;
  readonly records: ReadonlyMap<string, SnapshotRecord>;
}

/**
 * As much of the records as a Secret can hold. Before all of it fits again (in an epoch with more shards), what is new waits, then what has grown; what takes something away never does.
 */
export function toFitting(
  store: SnapshotStore,
  shard: ShardState,
  options: { records: ReadonlyMap<string, SnapshotRecord>; publishedAt: number },
): Fitting {
  const { records, publishedAt } = options;
  const encode = (chosen: ReadonlyMap<string, SnapshotRecord>): Encoded => {
    const { layout, kind, index: bucket } = shard;
    return store.encode(toShard({ layout, kind, bucket, records: chosen.values(), publishedAt }));
  };
  const all = encode(records);
  const { bytes: wantedBytes } = all;
  if (wantedBytes <= store.largestSecretBytes) return { encoded: all, records, wantedBytes };
  const known = new Map([...records].filter(([id]) => shard.written.has(id)));
  const encoded = encode(known);
  if (encoded.bytes <= store.largestSecretBytes) return { encoded, records: known, wantedBytes };
  const reduced = new Map([...known].map(([id, record]) => [id, toReduced(shard.written.get(id)?.record ?? record, record)]));
  return { encoded: encode(reduced), records: reduced, wantedBytes };
}

/** The record as it was, with what has been taken away from it. */
function toReduced(before: SnapshotRecord, after: SnapshotRecord): SnapshotRecord {
  if (before === after || !isKey(before) || !isKey(after) || before.uid !== after.uid) return after;
  const credentials = before.credentials.flatMap(({ hash }) => after.credentials.find((credential) => credential.hash === hash) ?? []);
  const expiresAt = Math.min(before.expiresAt ?? Infinity, after.expiresAt ?? Infinity);
  const reduced: KeyRecord = { ...before, gen: after.gen, state: after.state, credentials };
  return expiresAt === Infinity ? reduced : { ...reduced, expiresAt };
}

function isKey(record: SnapshotRecord): record is KeyRecord {
  return 'gen' in record;
}

/** A shard that cannot be read counts as empty, but its Secret is there to be replaced. */
export function adopt(bucket: Bucket, document: Shard): void {
  const written = new Map<string, { record: SnapshotRecord; atMs: number }>();
  for (const record of document.records) {
    bucket.desired.set(record.id, record);
    written.set(record.id, { record, atMs: document.publishedAt });
  }
  bucket.shard.written = written;
  bucket.shard.revision = document.revision;
  bucket.shard.complete = true;
}
