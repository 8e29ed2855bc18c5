import type { CompiledKey } from '../../core/authorize.ts';
import type { ChannelRecord, CredentialEntry } from '../../core/snapshot.ts';

/** What a presented key's hash leads to. */
export interface FoundKey {
  readonly key: CompiledKey;
  readonly credential: CredentialEntry;
}

/** A key or one of its credentials that was good before and is not any more; streams that run with it have to end. */
export interface EndedKey {
  readonly keyId: string;
  readonly reason: 'revoked' | 'deleted';
  /** only streams that began with this credential; absent = all of the key */
  readonly credentialId?: string;
}

/**
 * The look-ups that requests make. Invariant: between two calls, whatever was added stands in all tables or in none, so that nobody has to wait.
 * A hash that two keys claim stays with the one that had it first; the other one gets it when that one lets it go.
 */
export class SnapshotTables {
  readonly #byHash = new Map<string, FoundKey>();
  readonly #byId = new Map<string, CompiledKey>();
  readonly #contested = new Set<string>();
  #channels: readonly ChannelRecord[] = [];
  #channelsOf = new Map<string, readonly ChannelRecord[]>();

  find(hashHex: string): FoundKey | undefined {
    return this.#byHash.get(hashHex);
  }

  key(id: string): CompiledKey | undefined {
    return this.#byId.get(id);
  }

  keys(): Iterable<CompiledKey> {
    return this.#byId.values();
  }

  get keyCount(): number {
    return this.#byId.size;
  }

  get channels(): readonly ChannelRecord[] {
    return this.#channels;
  }

  /** The Channels that keys of this namespace may use, by id. Remembered until the Channels change: the namespaces are few, those of keys that exist. */
  channelsFor(namespace: string): readonly ChannelRecord[] {
    const known = this.#channelsOf.get(namespace);
    if (known !== undefined) return known;
    const channels = this.#channels.filter(({ namespaces }) => namespaces === 'All' || namespaces.includes(namespace));
    this.#channelsOf.set(namespace, channels);
    return channels;
  }

  setChannels(channels: readonly ChannelRecord[]): void {
    this.#channels = channels.toSorted((left, right) => (left.id < right.id ? -1 : 1));
    this.#channelsOf = new Map();
  }

  addKey(key: CompiledKey): void {
    this.#byId.set(key.record.id, key);
    for (const credential of key.record.credentials) this.#claim(key, credential);
  }

  /** One bucket's keys give way to others, in one go. */
  replaceKeys(before: readonly CompiledKey[], after: readonly CompiledKey[]): void {
    const freed = new Set<string>();
    for (const { record } of before) {
      this.#byId.delete(record.id);
      for (const { hash } of record.credentials) {
        if (this.#byHash.get(hash)?.key.record.id !== record.id) continue;
        this.#byHash.delete(hash);
        if (this.#contested.has(hash)) freed.add(hash);
      }
    }
    for (const key of after) this.addKey(key);
    if (freed.size > 0) this.#hand(freed);
  }

  #claim(key: CompiledKey, credential: CredentialEntry): void {
    const holder = this.#byHash.get(credential.hash);
    if (holder === undefined) this.#byHash.set(credential.hash, { key, credential });
    else if (holder.key.record.id !== key.record.id) this.#contested.add(credential.hash);
  }

  /** Contested hashes are mistakes that the operator refuses, so looking through all keys happens next to never. */
  #hand(freed: ReadonlySet<string>): void {
    for (const hash of freed) this.#contested.delete(hash);
    for (const key of this.#byId.values()) {
      for (const credential of key.record.credentials) {
        if (freed.has(credential.hash)) this.#claim(key, credential);
      }
    }
  }
}

/**
 * What has ended between two versions of a key. A key ends when it is revoked, gone, or another object under the same name. A credential ends when it is taken away or cut
 * short while it was good; one whose time had run out anyway has not ended anything: its streams may finish.
 */
export function findEnded({ record: before }: CompiledKey, after: CompiledKey | undefined, nowMs: number): readonly EndedKey[] {
  if (after === undefined || after.record.uid !== before.uid) return [{ keyId: before.id, reason: 'deleted' }];
  if (after.record.state === 'Revoked') return before.state === 'Revoked' ? [] : [{ keyId: before.id, reason: 'revoked' }];
  if (after.record.credentials === before.credentials) return [];
  const left = new Map(after.record.credentials.map((credential) => [credential.id, credential]));
  return before.credentials
    .filter((credential) => isGood(credential, nowMs) && !isGood(left.get(credential.id), nowMs))
    .map(({ id }) => ({ keyId: before.id, reason: 'revoked' as const, credentialId: id }));
}

function isGood(credential: CredentialEntry | undefined, nowMs: number): boolean {
  return credential !== undefined && (credential.notAfter === undefined || nowMs < credential.notAfter);
}
