import type { Cluster, ReflectedEvent, SecretObject } from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/cluster.ts';
import type { CredentialRecord } from './hashed-secret.ts';
import { parseHashedSecret, toHashedSecret, toHashedSecretName } from './hashed-secret.ts';
import { MultiMap } from './multi-map.ts';
import { ReflectedStore } from '../reflected-store.ts';

export interface CredentialStoreOptions {
  readonly cluster: Cluster;
  readonly namespace: string;
  /** a record bars a hash that none did before */
  readonly onBarred: () => void;
  /** these keys claim a hash of a record that somebody else has written, as was found beside the watch */
  readonly onRivals: (keyIds: readonly string[]) => void;
}

/**
 * The hashed Secrets, and who has recorded which hash. A record that is about to be written counts as a claim already, so that of two keys that
 * bring the same hash at the same moment only one records it.
 */
export class CredentialStore {
  readonly #cluster: Cluster;
  readonly #namespace: string;
  /** without their values: those are in the records */
  readonly #secrets = new ReflectedStore<SecretObject>();
  /** name of the Secret → what it says, or is about to say */
  readonly #records = new Map<string, CredentialRecord | 'invalid'>();
  readonly #owners = new MultiMap();
  readonly #revoked = new MultiMap();
  readonly #options: CredentialStoreOptions;
  /** names of the records of which hashes were filed */
  readonly #filed = new Set<string>();

  constructor(options: CredentialStoreOptions) {
    const { cluster, namespace } = options;
    this.#options = options;
    this.#cluster = cluster;
    this.#namespace = namespace;
  }

  get synced(): boolean {
    return this.#secrets.synced;
  }

  get(keyId: string): CredentialRecord | 'invalid' | undefined {
    return this.#records.get(toHashedSecretName(keyId));
  }

  /** @returns the keys that have to be looked at: the one whose record somebody else has changed, and those that claim a hash of it as well */
  take(event: ReflectedEvent<SecretObject>): readonly string[] {
    if (event.type === 'Synced') {
      this.#secrets.take(event);
      return [];
    }
    if (!this.#secrets.take({ ...event, object: withoutData(event.object) })) return [];
    const { name } = event.object.metadata;
    const before = this.#records.get(name);
    this.#remember(name, event.type === 'Deleted' ? undefined : (parseHashedSecret(event.object) ?? 'invalid'));
    const after = this.#records.get(name);
    const record = toReadable(after) ?? toReadable(before);
    return record === undefined ? [] : [...new Set([record.keyId, ...this.#rivals(before, after)])];
  }

  /** The keys that claim a hash which a record has, or had until now. */
  #rivals(...records: readonly (CredentialRecord | 'invalid' | undefined)[]): string[] {
    const hashes = records.flatMap((record) => toReadable(record)?.credentials ?? []).map(({ hash }) => hash);
    const names = new Set(hashes.flatMap((hash) => [...this.#owners.of(hash)]));
    return [...names].flatMap((name) => toReadable(this.#records.get(name))?.keyId ?? []);
  }

  /** Of the keys that are not known to be gone. */
  *living(): Iterable<CredentialRecord> {
    for (const record of this.#records.values()) if (record !== 'invalid' && record.deletedAt === undefined) yield record;
  }

  firstOwner(hash: string, besides: string): { createdAt: number; uid: string } | undefined {
    let first: { createdAt: number; uid: string } | undefined;
    for (const name of this.#owners.of(hash)) {
      const record = this.#records.get(name);
      if (record === undefined || record === 'invalid' || record.keyId === besides) continue;
      const createdAt = record.credentials.find((credential) => credential.hash === hash)?.createdAt ?? 0;
      if (first === undefined || createdAt < first.createdAt || (createdAt === first.createdAt && record.uid < first.uid))
        first = { createdAt, uid: record.uid };
    }
    return first;
  }

  isRevoked(hash: string): boolean {
    return this.#revoked.has(hash);
  }

  /** Every hash that a record bars. */
  revokedHashes(): Iterable<string> {
    return this.#revoked.names();
  }

  /** Some record says that hashes of it were filed among the revoked ones of all keys. */
  get hasFiled(): boolean {
    return this.#filed.size > 0;
  }

  *tombstones(): Iterable<CredentialRecord> {
    for (const record of this.#records.values()) if (record !== 'invalid' && record.deletedAt !== undefined) yield record;
  }

  /** Takes a tombstone away, unless somebody has written to it. */
  async remove(record: CredentialRecord): Promise<void> {
    const name = toHashedSecretName(record.keyId);
    const resourceVersion = this.#secrets.get(this.#namespace, name)?.metadata.resourceVersion;
    if (resourceVersion === undefined || this.#records.get(name) !== record) return;
    await this.#cluster.remove({ kind: 'Secret', namespace: this.#namespace, name }, { resourceVersion });
    await this.#reread(name);
  }

  /** Writes a record over the one that was read; `conflict`: somebody else was faster, and what they wrote is known now. */
  async write(record: CredentialRecord): Promise<'written' | 'conflict'> {
    const name = toHashedSecretName(record.keyId);
    const known = this.#secrets.get(this.#namespace, name);
    const before = this.#records.get(name);
    this.#remember(name, record);
    try {
      const { data = {}, ...fresh } = toHashedSecret(record, this.#namespace);
      const outcome = await (known === undefined
        ? this.#cluster.create<SecretObject>({ ...fresh, data })
        : this.#cluster.replace({ ...known, data }));
      if (outcome.outcome === 'written') {
        this.#secrets.wrote(withoutData(outcome.object));
        return 'written';
      }
    } catch (error) {
      // Whether it was written is not known; what is there is.
      await this.#reread(name).catch(() => {
        if (this.#records.get(name) === record) this.#remember(name, before);
      });
      throw error;
    }
    await this.#reread(name);
    return 'conflict';
  }

  /** Asks for the record itself, past the watch. @returns whether what was known of it is what is stored; from now on it is */
  async confirm(keyId: string): Promise<boolean> {
    const name = toHashedSecretName(keyId);
    const known = this.#secrets.get(this.#namespace, name)?.metadata.resourceVersion;
    await this.#reread(name);
    return this.#secrets.get(this.#namespace, name)?.metadata.resourceVersion === known;
  }

  async #reread(name: string): Promise<void> {
    const knownBefore = this.#secrets.get(this.#namespace, name);
    const secret = await this.#cluster.get<SecretObject>({ kind: 'Secret', namespace: this.#namespace, name });
    const known = this.#secrets.get(this.#namespace, name)?.metadata.resourceVersion;
    const before = this.#records.get(name);
    // A record that is older than its version would be written over what somebody has done since.
    const isNews = secret === undefined ? known === knownBefore?.metadata.resourceVersion : this.#secrets.wrote(withoutData(secret));
    if (!isNews) return;
    if (secret === undefined) this.#secrets.forget(this.#namespace, name);
    this.#remember(name, secret === undefined ? undefined : (parseHashedSecret(secret) ?? 'invalid'));
    // The watch will tell nothing of what is known already.
    if (secret?.metadata.resourceVersion !== known) this.#options.onRivals(this.#rivals(before, this.#records.get(name)));
  }

  #remember(name: string, next: CredentialRecord | 'invalid' | undefined): void {
    const before = toReadable(this.#records.get(name));
    const record = toReadable(next);
    if (before !== undefined) this.#unlist(name, before);
    if (next === undefined) this.#records.delete(name);
    else this.#records.set(name, next);
    if (record !== undefined) this.#list(name, record, before?.revokedHashes ?? []);
  }

  #list(name: string, { credentials, revokedHashes, filedHashes }: CredentialRecord, known: readonly string[]): void {
    for (const { hash } of credentials) this.#owners.add(hash, name);
    for (const hash of revokedHashes) this.#revoked.add(hash, name);
    if (filedHashes !== undefined) this.#filed.add(name);
    if (revokedHashes.some((hash) => !known.includes(hash))) this.#options.onBarred();
  }

  #unlist(name: string, record: CredentialRecord): void {
    for (const { hash } of record.credentials) this.#owners.delete(hash, name);
    for (const hash of record.revokedHashes) this.#revoked.delete(hash, name);
    this.#filed.delete(name);
  }
}

/** Trouble that comes from the object itself, not from the infrastructure: trying again at once does not help. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ClusterError && (error.reason === 'Forbidden' || error.reason === 'Invalid');
}

function toReadable(record: CredentialRecord | 'invalid' | undefined): CredentialRecord | undefined {
  return record === 'invalid' ? undefined : record;
}

function withoutData({ apiVersion, kind, metadata, type }: SecretObject): SecretObject {
  return { apiVersion, kind, metadata, ...(type === undefined ? {} : { type }) };
}
