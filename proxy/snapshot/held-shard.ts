import type { CompiledKey } from '../../core/authorize.ts';
import type { ChannelRecord, Shard } from '../../core/snapshot.ts';

/** A shard as it is held: compiled, with what is shown of it. */
export interface HeldShard {
  readonly name: string;
  readonly header: Omit<Shard, 'records' | 'kind'>;
  readonly keys: readonly CompiledKey[];
  readonly channels: readonly ChannelRecord[];
}
