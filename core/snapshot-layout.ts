import { revocationsSecretName } from './revocations-document.ts';
import type { SnapshotDocument } from './snapshot-parse.ts';
import { type Shard, shardName, snapshotIndexName } from './snapshot.ts';

/** How the records are spread; another number of buckets is another epoch. */
export interface SnapshotLayout {
  readonly epoch: number;
  readonly keyBuckets: number;
  readonly channelBuckets: number;
}

export const shardKinds = ['keys', 'channels'] as const satisfies readonly Shard['kind'][];

/** How many shards of a kind that epoch has. */
export function bucketsOf(layout: SnapshotLayout, kind: Shard['kind']): number {
  return kind === 'keys' ? layout.keyBuckets : layout.channelBuckets;
}

/** Names of all shards of that epoch: those of keys, then those of channels, each by bucket. */
export function shardNames(layout: SnapshotLayout): string[] {
  return shardKinds.flatMap((kind) =>
    Array.from({ length: bucketsOf(layout, kind) }, (_, bucket) => shardName(layout.epoch, kind, bucket)),
  );
}

/** Whether both mean the same shards. */
export function isSameLayout(left: SnapshotLayout, right: SnapshotLayout): boolean {
  return left.epoch === right.epoch && left.keyBuckets === right.keyBuckets && left.channelBuckets === right.channelBuckets;
}

const shardPattern = new RegExp(`^${shardName(0, 'keys', 0).replace('-0-keys-0', '-(\\d+)-(?:keys|channels)-\\d+')}$`);

/** Of which epoch a Secret of this name is a shard; undefined: it is none. */
export function epochOf(name: string): number | undefined {
  const epoch = shardPattern.exec(name)?.[1];
  return epoch === undefined ? undefined : Number(epoch);
}

/** Name of the Secret that holds this document. */
export function toDocumentName(document: SnapshotDocument): string {
  if (document.kind === 'revocations') return revocationsSecretName;
  return document.kind === 'index' ? snapshotIndexName : shardName(document.epoch, document.kind, document.bucket);
}
