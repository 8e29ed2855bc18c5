import { bucketsOf, shardKinds, type SnapshotLayout } from '../../core/snapshot-layout.ts';
import type { SnapshotDocument } from '../../core/snapshot-parse.ts';
import type { Shard } from '../../core/snapshot.ts';
import { shardName } from '../../core/snapshot.ts';

/** Of 512 KiB each: more is a mistake somewhere else, and every proxy has to hold them. */
const mostBuckets = 4_096;

/** The epoch after the one in force, with `factor` times as many buckets of one kind; of the other as many as were planned already. */
export function toGrown(options: {
  layout: SnapshotLayout;
  next: SnapshotLayout | undefined;
  kind: Shard['kind'];
  factor: number;
}): SnapshotLayout {
  const { layout, next, kind, factor } = options;
  const grown = Math.min(bucketsOf(layout, kind) * factor, mostBuckets);
  const { keyBuckets, channelBuckets } = next ?? layout;
  const epoch = layout.epoch + 1;
  return kind === 'keys' ? { epoch, keyBuckets: grown, channelBuckets } : { epoch, keyBuckets, channelBuckets: grown };
}

/** Into which buckets of a grown layout the records of a bucket go: since the numbers of buckets are multiples, a bucket splits and never mixes with another. */
export function childrenOf(
  bucket: number,
  { before, after, kind }: { before: SnapshotLayout; after: SnapshotLayout; kind: Shard['kind'] },
): readonly number[] {
  const count = bucketsOf(before, kind);
  return Array.from({ length: bucketsOf(after, kind) / count }, (_, turn) => bucket + turn * count);
}

/**
 * What is in force when the index does not say so (somebody has deleted it, or it cannot be read): the newest epoch of which all shards are there.
 */
export function findLayout(documents: ReadonlyMap<string, SnapshotDocument | undefined>): SnapshotLayout | undefined {
  const layouts = new Map<number, SnapshotLayout>();
  for (const document of documents.values()) {
    if (document === undefined || (document.kind !== 'keys' && document.kind !== 'channels')) continue;
    const { epoch, kind, buckets } = document;
    const known = layouts.get(epoch) ?? { epoch, keyBuckets: 0, channelBuckets: 0 };
    layouts.set(epoch, kind === 'keys' ? { ...known, keyBuckets: buckets } : { ...known, channelBuckets: buckets });
  }
  const complete = [...layouts.values()].filter((layout) => isComplete(layout, documents));
  return complete.toSorted((left, right) => right.epoch - left.epoch)[0];
}

function isComplete(layout: SnapshotLayout, documents: ReadonlyMap<string, SnapshotDocument | undefined>): boolean {
  return shardKinds.every((kind) => {
    const buckets = bucketsOf(layout, kind);
    const names = Array.from({ length: buckets }, (_, index) => shardName(layout.epoch, kind, index));
    return buckets > 0 && names.every((name) => isShardOf(documents.get(name), buckets));
  });
}

function isShardOf(document: SnapshotDocument | undefined, buckets: number): boolean {
  return document !== undefined && (document.kind === 'keys' || document.kind === 'channels') && document.buckets === buckets;
}
