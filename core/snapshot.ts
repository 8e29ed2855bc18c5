import type { Secret } from './secret.ts';

/**
 * The plain document in which the planes meet. The operator writes it, proxies read it; it knows no Kubernetes.
 * Times are absolute (milliseconds since 1970), so that expiry and overlap end without a write.
 */

/** The version of the shapes below that this code writes. */
export const snapshotSchema = 1;
/** The newest `minReader` that this code can read. */
export const snapshotReader = 1;

export const snapshotSecretType = 'keywright.dev/snapshot';
/** The entry of a snapshot Secret that holds the gzipped JSON document. */
export const snapshotEntry = 'document';
export const snapshotIndexName = 'keywright-snapshot-index';

export type Provider = 'OpenAI' | 'AzureOpenAI' | 'Anthropic' | 'Gemini' | 'Bedrock' | 'VertexAI' | 'OpenAICompatible';
export type Scope = 'read' | 'chat' | 'embeddings' | 'images' | 'audio' | 'full';
type LimitMode = 'Enforce' | 'Shadow';

/** One secret of a virtual key, known by its hash only. */
export interface CredentialEntry {
  /** 12 hex digits: HMAC(installation secret, hash); names the credential without telling its hash */
  readonly id: string;
  /** lower-case hex SHA-256 of the whole key (64 digits, no `sha256:`) */
  readonly hash: string;
  /** display prefix, `''` if unknown */
  readonly prefix: string;
  readonly state: 'Pending' | 'Active' | 'Retiring';
  readonly notBefore?: number;
  /** first moment at which it is refused; a Pending one always has it */
  readonly notAfter?: number;
}

/** Absent = no limit. Requests or tokens in any 60 s (`rpm`, `tpm`) or any 24 h (`rpd`, `tpd`). 0 refuses everything. */
export interface WindowLimits {
  readonly rpm?: number;
  readonly tpm?: number;
  readonly rpd?: number;
  readonly tpd?: number;
}

export interface KeyLimits extends WindowLimits {
  readonly concurrency?: number;
  readonly mode?: LimitMode;
  /** the first whose glob matches the model applies, on top of the key's own */
  readonly models?: readonly ({ readonly model: string } & WindowLimits)[];
}

export interface KeyBudget {
  readonly period: 'Daily' | 'Weekly' | 'Monthly' | 'Total';
  readonly limitNanoUsd: number;
  readonly mode: LimitMode;
  readonly warnAt: readonly number[];
}

export interface KeyAccess {
  /** globs; absent = every model */
  readonly models?: readonly string[];
  /** channel ids `namespace/name`; absent = every channel that admits the key's namespace */
  readonly channels?: readonly string[];
  readonly providers?: readonly Provider[];
  readonly cidrs?: readonly string[];
  readonly scopes?: readonly Scope[];
}

export interface KeyRecord {
  /** `namespace/name`; identity in limits, usage and logs; survives rotation and re-creation */
  readonly id: string;
  readonly uid: string;
  /** metadata.generation of the spec that this record was made from */
  readonly generation: number;
  /** revocation counter */
  readonly gen: number;
  /** NotReady: the VirtualKey was never accepted (503 `key_not_ready`) */
  readonly state: 'Active' | 'Suspended' | 'Revoked' | 'NotReady';
  /** first moment at which the key is refused; an unreadable time is 0 */
  readonly expiresAt?: number;
  readonly credentials: readonly CredentialEntry[];
  readonly access: KeyAccess;
  readonly limits?: KeyLimits;
  readonly budgets?: readonly KeyBudget[];
  readonly owner?: { readonly team?: string; readonly project?: string; readonly user?: string };
  readonly tags?: Readonly<Record<string, string>>;
}

export interface ChannelCredential {
  readonly name: string;
  readonly weight: number;
  readonly secret: Secret;
}

export interface ChannelModel {
  /** what clients ask for: a name or a glob */
  readonly name: string;
  /** what the provider calls it; absent = the same */
  readonly upstreamName?: string;
  /** overrides the built-in price list, unit by unit */
  readonly price?: ChannelPrice;
}

/** Integer nano-dollars: of a million tokens or characters, of one image, second or request. Absent = not said here; 0 = free. */
export interface ChannelPrice {
  readonly input?: number;
  readonly cachedInput?: number;
  /** kept for five minutes */
  readonly cacheWrite?: number;
  /** kept for an hour */
  readonly cacheWrite1h?: number;
  readonly output?: number;
  readonly audioInput?: number;
  readonly audioOutput?: number;
  readonly image?: number;
  readonly second?: number;
  readonly character?: number;
  readonly request?: number;
  /** multiplier of the token prices by `service_tier`, in thousandths */
  readonly serviceTiers?: Readonly<Record<string, number>>;
}

export interface ChannelRecord {
  readonly id: string;
  readonly uid: string;
  readonly generation: number;
  readonly provider: Provider;
  /** without a trailing slash and without `/v1` */
  readonly baseUrl: string;
  readonly apiVersion?: string;
  readonly project?: string;
  /** empty = the upstream needs no credential */
  readonly credentials: readonly ChannelCredential[];
  /** header that carries the credential and the word before it (`''` = none), already resolved by provider */
  readonly authHeader: string;
  readonly authScheme: string;
  /** absent = every model name is passed on */
  readonly models?: readonly ChannelModel[];
  readonly priority: number;
  readonly weight: number;
  /** namespaces whose keys may use it, selectors already resolved */
  readonly namespaces: 'All' | readonly string[];
  readonly timeouts: { readonly connectMs: number; readonly firstByteMs: number; readonly idleMs: number; readonly totalMs: number };
  /** further attempts on this channel before the next one, and what is worth one */
  readonly retries: {
    readonly attempts: number;
    readonly on: readonly ('ConnectFailure' | 'Reset' | 'RateLimited' | 'ServerError' | 'Timeout')[];
  };
  /** absent or a part of it absent = the defaults of the proxy */
  readonly circuitBreaker?: { readonly consecutiveFailures?: number; readonly openMs?: number };
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: { readonly serverName?: string; readonly ca?: string };
  readonly limits?: { readonly rpm?: number; readonly tpm?: number; readonly concurrency?: number };
  /** what keeps the tenants of the account apart; absent = nothing is done */
  readonly sharedAccount?: {
    readonly promptCacheKey?: 'Prefix';
    readonly safetyIdentifier?: 'FromKey';
    /** values of `service_tier` that clients may ask for; absent = all */
    readonly serviceTiers?: readonly string[];
  };
}

interface ShardHeader {
  readonly schema: number;
  readonly minReader: number;
  readonly epoch: number;
  readonly bucket: number;
  readonly buckets: number;
  /** content hash of the records */
  readonly revision: string;
  readonly publishedAt: number;
}

/** One hash bucket of the keys; complete and valid by itself. */
export interface KeyShard extends ShardHeader {
  readonly kind: 'keys';
  readonly records: readonly KeyRecord[];
}

/** One hash bucket of the channels, with their provider credentials. */
export interface ChannelShard extends ShardHeader {
  readonly kind: 'channels';
  readonly records: readonly ChannelRecord[];
}

export type Shard = KeyShard | ChannelShard;

/** Names the epoch in force and how many shards of each kind it has. */
export interface SnapshotIndexDocument {
  readonly kind: 'index';
  readonly schema: number;
  readonly minReader: number;
  readonly epoch: number;
  readonly keyBuckets: number;
  readonly channelBuckets: number;
}

/** Name of the Secret that holds a shard: `keywright-snapshot-<epoch>-<keys|channels>-<bucket>`. */
export function shardName(epoch: number, kind: Shard['kind'], bucket: number): string {
  return `keywright-snapshot-${epoch}-${kind}-${bucket}`;
}
