import { revocationsSecretName } from '../../core/revocations-document.ts';
import type { CompiledKey } from '../../core/authorize.ts';
import { type ChannelRecord, type Shard, shardName, type SnapshotIndexDocument } from '../../core/snapshot.ts';

/** A shard as it is held: compiled, with what is shown of it. */
export interface HeldShard {
  readonly name: string;
  readonly header: Omit<Shard, 'records' | 'kind'>;
  readonly keys: readonly CompiledKey[];
  readonly channels: readonly ChannelRecord[];
}

export interface RefusedDocument {
  /** locked: another seal key would open it */
  readonly reason: 'invalid' | 'newer' | 'locked';
  readonly message: string;
}

/** Names of all shards of the epoch that this index document announces. */
export function shardNames({ epoch, keyBuckets, channelBuckets }: SnapshotIndexDocument): string[] {
  const names = (kind: Shard['kind'], buckets: number): string[] =>
    Array.from({ length: buckets }, (_, bucket) => shardName(epoch, kind, bucket));
  return [...names('keys', keyBuckets), ...names('channels', channelBuckets)];
}

/** How many shards of a kind that epoch has. */
export function bucketsOf(index: SnapshotIndexDocument, kind: Shard['kind']): number {
  return kind === 'keys' ? index.keyBuckets : index.channelBuckets;
}

/** Whether both mean the same shards. */
export function isSameLayout(left: SnapshotIndexDocument, right: SnapshotIndexDocument | undefined): boolean {
  return (
    right !== undefined &&
    left.epoch === right.epoch &&
    left.keyBuckets === right.keyBuckets &&
    left.channelBuckets === right.channelBuckets
  );
}

/** Which document is read next. Revocations before everything else: a proxy that starts must know them when the shards make it ready. */
export function nextName(pending: ReadonlyMap<string, unknown>): string | undefined {
  if (pending.has(revocationsSecretName)) return revocationsSecretName;
  const [first] = pending.keys();
  return first;
}
