import { type SnapshotIndexDocument, snapshotIndexName } from '../../core/snapshot.ts';
import type { HeldShard } from './held-shard.ts';
import type { RefusedDocument } from './snapshot-inbox.ts';
import type { SnapshotTables } from './snapshot-tables.ts';

export interface SnapshotState {
  readonly announced: SnapshotIndexDocument | undefined;
  readonly served: SnapshotIndexDocument | undefined;
  readonly tables: SnapshotTables;
  readonly shards: readonly HeldShard[];
  readonly refused: ReadonlyMap<string, RefusedDocument>;
  readonly disconnectedMs: number;
}

/**
 * What an operator of the gateway may see of the snapshot in force. Written field by field, never by leaving fields out, so that a new field of a record is not shown until
 * somebody decides so. No hashes, addresses, tags, base URLs, headers, provider credentials.
 */
export function describeSnapshot({ announced, served, tables, shards, refused, disconnectedMs }: SnapshotState): unknown {
  return {
    epoch: served?.epoch,
    announcedEpoch: announced?.epoch,
    disconnectedMs,
    shards: shards.map(({ name, header }) => ({ name, revision: header.revision, publishedAt: toTime(header.publishedAt) })),
    refused: [...refused].map(([name, { reason, message }]) => ({ name, reason, message })),
    keys: [...tables.keys()].map(({ record }) => ({
      id: record.id,
      state: record.state,
      generation: record.generation,
      gen: record.gen,
      expiresAt: toTime(record.expiresAt),
      credentials: record.credentials.map(({ id, prefix, state, notBefore, notAfter }) => ({
        id,
        prefix,
        state,
        notBefore: toTime(notBefore),
        notAfter: toTime(notAfter),
      })),
    })),
    channels: tables.channels.map(({ id, provider, generation, priority, weight, credentials }) => ({
      id,
      provider,
      generation,
      priority,
      weight,
      credentials: credentials.map(({ name }) => name),
    })),
  };
}

export interface MissingState {
  readonly announced: SnapshotIndexDocument | undefined;
  /** names of the shards that are not there */
  readonly shards: readonly string[];
  readonly refused: ReadonlyMap<string, RefusedDocument>;
  readonly synced: boolean;
  readonly connected: boolean;
}

/** What a proxy that is not ready waits for, in words that lead to the cause. */
export function describeMissing({ announced, shards, refused, synced, connected }: MissingState): readonly string[] {
  const connection = connected ? '' : ' (the API server is not connected)';
  const index = refused.get(snapshotIndexName);
  if (announced === undefined) {
    if (index !== undefined) return [`snapshot: the index document is refused: ${index.message}`];
    return [`snapshot: ${synced ? 'the operator has published no index document yet' : 'waiting for the index document'}${connection}`];
  }
  const refusals = shards.filter((name) => refused.has(name)).length;
  const locked = shards.map((name) => refused.get(name)).find((refusal) => refusal?.reason === 'locked');
  if (locked !== undefined) return [`snapshot: a shard of epoch ${announced.epoch} cannot be opened: ${locked.message}${connection}`];
  const few = `${shards.slice(0, 5).join(', ')}${shards.length > 5 ? ' …' : ''}`;
  return [`snapshot: waiting for ${shards.length} shards of epoch ${announced.epoch}, ${refusals} of them refused${connection}: ${few}`];
}

function toTime(ms: number | undefined): string | undefined {
  // a number that is no date would throw, and a dump must not
  return ms === undefined || Math.abs(ms) > 8.64e15 ? undefined : new Date(ms).toISOString();
}
