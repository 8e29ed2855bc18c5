import type { Registry } from 'prom-client';
import type { Log } from '../../runtime/log.ts';
import type { Cluster, ReflectedEvent, SecretObject } from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/cluster.ts';
import { gaugeOf } from '../metric.ts';
import type { RevokedIndex } from './revoked-shards.ts';
import {
  acceptedLosses,
  allShards,
  holdsHash,
  mergeHashes,
  parseRevokedIndex,
  parseRevokedShard,
  revokedIndexName,
  revokedShardName,
  shardOf,
  toRevokedIndex,
  toRevokedShard,
} from './revoked-shards.ts';

interface Shard {
  /** all that we have ever seen in it: sorted, 32 bytes each */
  readonly hashes: Uint8Array;
  /** of the Secret as last seen; undefined: it has gone, and what it held is known only here */
  readonly resourceVersion: string | undefined;
  /** the Secret holds all of them */
  readonly isStored: boolean;
}

const none = new Uint8Array();

/**
 * The hashes that are revoked for ever, beside those that still stand in their key's own record. Only a hash that is stored here may leave the record. A shard that is known
 * to have been there and is missing is never taken for an empty one: what it held is unknown, and unknown hashes are not accepted anew.
 */
export class RevokedHashes {
  readonly #cluster: Cluster;
  readonly #namespace: string;
  readonly #shards = new Map<number, Shard>();
  #index: (RevokedIndex & { readonly secret: SecretObject }) | undefined;
  #synced = false;

  readonly #isExpected: () => boolean;

  /** `isExpected`: some record says that hashes of it were filed, so that there must be shards */
  constructor(options: { cluster: Cluster; namespace: string; isExpected: () => boolean }) {
    this.#cluster = options.cluster;
    this.#namespace = options.namespace;
    this.#isExpected = options.isExpected;
  }

  /** @returns whether something is there to be mended */
  take(event: ReflectedEvent<SecretObject>): boolean {
    if (event.type === 'Synced') this.#synced = true;
    else if (event.type === 'Applied') this.#know(event.object);
    else this.#lose(event.object);
    return event.type !== 'Synced' && [...this.#shards.values()].some(({ isStored }) => !isStored);
  }

  has(hash: string): boolean {
    const shard = this.#shards.get(shardOf(hash));
    return shard !== undefined && holdsHash(shard.hashes, hash);
  }

  /** Whether it is stored here, so that it may leave the record of its key. */
  isFiled(hash: string): boolean {
    return this.#shards.get(shardOf(hash))?.isStored === true && this.has(hash);
  }

  /** Whether it cannot be told if a hash was revoked, because the shard that would know is lost. */
  isUnknown(hash: string): boolean {
    return this.#isLost(shardOf(hash));
  }

  /** Above the generation of every key whose tombstone has been removed. */
  get firstGeneration(): number {
    return this.#index?.firstGeneration ?? 0;
  }

  get size(): number {
    let bytes = 0;
    for (const { hashes } of this.#shards.values()) bytes += hashes.length;
    return bytes / 32;
  }

  /** Numbers of the shards that were there once and are not, with nobody here who remembers them. */
  lost(): readonly number[] {
    return allShards.filter((number) => this.#isLost(number));
  }

  /** Stores these hashes, and what has vanished while we looked on. Those of a lost shard are left out, unless somebody has accepted the loss. */
  async file(hashes: readonly string[]): Promise<void> {
    const byShard = new Map<number, string[]>();
    for (const [number, { isStored }] of this.#shards) if (!isStored) byShard.set(number, []);
    for (const number of this.#accepted()) byShard.set(number, []);
    for (const hash of hashes) {
      const number = shardOf(hash);
      if (!this.isUnknown(hash) || byShard.has(number)) byShard.set(number, [...(byShard.get(number) ?? []), hash]);
    }
    for (const [number, added] of byShard) await this.#store(number, added);
    await this.#list({ firstGeneration: this.firstGeneration });
  }

  /** From now on no key begins at or below this generation. */
  async raiseFirstGeneration(firstGeneration: number): Promise<void> {
    if (firstGeneration > this.firstGeneration) await this.#list({ firstGeneration });
  }

  #isLost(number: number): boolean {
    if (!this.#synced || this.#shards.has(number)) return false;
    return this.#index === undefined ? this.#isExpected() : this.#index.shards.includes(number);
  }

  #accepted(): readonly number[] {
    return acceptedLosses(this.#index?.secret).filter((number) => this.#isLost(number));
  }

  #know(secret: SecretObject): void {
    const { name, resourceVersion = '' } = secret.metadata;
    if (name === revokedIndexName) {
      // One that cannot be read may have named them all.
      this.#index = { ...(parseRevokedIndex(secret) ?? { shards: allShards, firstGeneration: this.firstGeneration }), secret };
      return;
    }
    const shard = parseRevokedShard(secret);
    // A damaged one is no shard: it counts as lost, unless we remember what it held.
    if (shard === undefined) return;
    // Never less than we knew: an event may be older than our own write, and what is revoked stays so whoever edits the Secret.
    const before = this.#shards.get(shard.number)?.hashes ?? none;
    const hashes = Buffer.compare(before, shard.hashes) === 0 ? before : mergeHashes(shard.hashes, listOf(before));
    this.#shards.set(shard.number, { hashes, resourceVersion, isStored: hashes.length === shard.hashes.length });
  }

  #lose({ metadata }: SecretObject): void {
    for (const [number, { hashes }] of this.#shards) {
      if (revokedShardName(number) === metadata.name) this.#shards.set(number, { hashes, resourceVersion: undefined, isStored: false });
    }
    if (metadata.name === revokedIndexName && this.#index !== undefined) {
      const { resourceVersion: _, uid: __, ...kept } = this.#index.secret.metadata;
      this.#index = { ...this.#index, secret: { ...this.#index.secret, metadata: kept } };
    }
  }

  async #store(number: number, added: readonly string[]): Promise<void> {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const known = this.#shards.get(number);
      const hashes = mergeHashes(known?.hashes ?? none, added);
      if (known?.isStored === true && hashes.length === known.hashes.length) return;
      const secret = toRevokedShard(number, hashes, this.#namespace);
      const outcome = await (known?.resourceVersion === undefined
        ? this.#cluster.create(secret)
        : this.#cluster.replace({ ...secret, metadata: { ...secret.metadata, resourceVersion: known.resourceVersion } }));
      if (outcome.outcome === 'written') return this.#know(outcome.object);
      await this.#reread(revokedShardName(number));
    }
    throw new ClusterError('Unavailable', `Secret ${revokedShardName(number)} is written by somebody else again and again, or damaged`);
  }

  /** Somebody else was there: ours are added to theirs. */
  async #reread(name: string): Promise<void> {
    const secret = await this.#cluster.get<SecretObject>({ kind: 'Secret', namespace: this.#namespace, name });
    if (secret === undefined) this.#lose({ apiVersion: 'v1', kind: 'Secret', metadata: { name } });
    else this.#know(secret);
  }

  /** Writes the index when it does not say what is so. It comes after the shards: what it names was there. */
  async #list({ firstGeneration }: { firstGeneration: number }): Promise<void> {
    const index = { shards: this.#toListed(), firstGeneration };
    if (this.#isListed(index)) return;
    const resourceVersion = this.#index?.secret.metadata.resourceVersion;
    const secret = toRevokedIndex(index, this.#namespace);
    const outcome = await (resourceVersion === undefined
      ? this.#cluster.create(secret)
      : this.#cluster.replace({ ...secret, metadata: { ...secret.metadata, resourceVersion } }));
    if (outcome.outcome === 'written') return this.#know(outcome.object);
    await this.#reread(revokedIndexName);
    throw new ClusterError('Unavailable', `Secret ${revokedIndexName} was written by somebody else`);
  }

  #toListed(): number[] {
    const stored = [...this.#shards].filter(([, { isStored }]) => isStored).map(([number]) => number);
    return [...new Set([...(this.#index?.shards ?? []), ...stored])].toSorted((left, right) => left - right);
  }

  #isListed({ shards, firstGeneration }: RevokedIndex): boolean {
    const known = this.#index;
    // Where everything has vanished, an index that names what is there now would make it look whole.
    if (known === undefined) return (shards.length === 0 && firstGeneration === 0) || this.lost().length > 0;
    const { resourceVersion } = known.secret.metadata;
    const isSame = known.shards.length === shards.length && known.firstGeneration >= firstGeneration;
    return resourceVersion !== undefined && isSame && acceptedLosses(known.secret).length === 0;
  }
}

/** The loss of a shard is told as long as it lasts: it cannot be mended without a backup, or somebody who accepts it. */
export function watchRevoked(revoked: RevokedHashes, registry: Registry): void {
  const size = gaugeOf(registry, 'keywright_revoked_hashes', 'Hashes that are revoked for ever and filed in the shards');
  const lost = gaugeOf(registry, 'keywright_revoked_shards_lost', 'Shards of revoked hashes that are missing: restore them from a backup');
  Object.assign(size, { collect: () => size.set(revoked.size) });
  Object.assign(lost, { collect: () => lost.set(revoked.lost().length) });
}

/** Tells people which Secrets they have to restore, if any. */
export function tellLost(revoked: RevokedHashes, log: Log): void {
  const lost = revoked.lost().map(revokedShardName);
  if (lost.length > 0)
    log.error(
      { secrets: lost },
      'Secrets with revoked hashes are missing: restore them from a backup; until then no hash that they may have held is accepted anew',
    );
}

function listOf(hashes: Uint8Array): string[] {
  const hex = Buffer.from(hashes).toString('hex');
  return Array.from({ length: hashes.length / 32 }, (_, index) => hex.slice(index * 64, index * 64 + 64));
}
