import type { CompiledKey } from '../core/authorize.ts';
import type { ChannelRecord, CredentialEntry } from '../core/snapshot.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { AttemptLimit } from './keys/attempt-limit.ts';
import type { ChannelHealth } from './channels/channel-health.ts';
import type { Counters } from './counters/counters.ts';
import type { LastUsed } from './keys/last-used.ts';
import type { LearntOutputs } from './reservations/learnt-outputs.ts';
import type { PriceBook } from './prices/price-book.ts';
import type { UnpricedModels } from './prices/price-request.ts';
import type { ProxyMetrics } from './proxy-metrics.ts';
import type { BodyBounds } from './bodies/read-body.ts';
import type { SharedRoom } from './bodies/shared-room.ts';
import type { StoredObjects } from './stored-objects/stored-objects.ts';
import type { Revocations } from './keys/revocations.ts';
import type { Upstreams } from './upstream/upstream.ts';

/** What the request path asks of the snapshot (`SnapshotIndex`). */
export interface KeyIndex {
  find(hashHex: string): { readonly key: CompiledKey; readonly credential: CredentialEntry } | undefined;
  channelsFor(namespace: string): readonly ChannelRecord[];
  /** all of them */
  readonly channels: readonly ChannelRecord[];
  readonly ready: boolean;
  missing(): readonly string[];
  disconnectedMs(): number;
  /** with a credential id only that credential of the key has ended; gives a function that ends the subscription */
  onEnded(listener: (keyId: string, reason: 'revoked' | 'deleted', credentialId?: string) => void): () => void;
}

/** What the stages work with; made once by the server. */
export interface Parts {
  readonly index: KeyIndex;
  /** overrules what the index says */
  readonly revocations: Revocations;
  readonly lastUsed: LastUsed;
  readonly counters: Counters;
  readonly learntOutputs: LearntOutputs;
  readonly storedObjects: StoredObjects;
  readonly upstreams: Upstreams;
  readonly health: ChannelHealth;
  readonly prices: PriceBook;
  readonly unpricedModels: UnpricedModels;
  readonly metrics: ProxyMetrics;
  readonly log: Log;
  readonly clock: Clock;
  /** in [0, 1) */
  readonly random: () => number;
  readonly attemptLimit: AttemptLimit;
  readonly bodyBounds: Omit<BodyBounds, 'budget'>;
  /** for the bodies of requests, and for answers that are held */
  readonly room: SharedRoom;
}
