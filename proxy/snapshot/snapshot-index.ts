import { type CompiledKey, compileKey } from '../../core/authorize.ts';
import type { SnapshotDocument } from '../../core/snapshot-parse.ts';
import type { ChannelRecord, KeyRecord, Shard, SnapshotIndexDocument } from '../../core/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import { makeAddressCheck } from '../keys/address-range.ts';
import { type EndedListener, EndedListeners } from './ended-listeners.ts';
import { GoneKeys } from './gone-keys.ts';
import { makeSlices, type Slices } from './slices.ts';
import { describeMissing, describeSnapshot } from './snapshot-description.ts';
import { type DocumentReader, readSnapshotDocument } from './snapshot-document.ts';
import { SnapshotInbox } from './snapshot-inbox.ts';
import { bucketsOf, isSameLayout, shardNames } from '../../core/snapshot-layout.ts';
import type { HeldShard } from './held-shard.ts';
import type { RefusedDocument } from './snapshot-inbox.ts';
import { makeSnapshotMetrics, type SnapshotMetrics } from './snapshot-metrics.ts';
import type { SnapshotSink } from './snapshot-source.ts';
import { ToldRevocations } from './told-revocations.ts';
import { type EndedKey, findEnded, type FoundKey, SnapshotTables } from './snapshot-tables.ts';

export interface SnapshotIndexOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** when a slice of work ends; what is begun then is still finished, so a little less than the 5 ms that nothing may take */
  readonly sliceMs?: number;
  /** how the documents are read; default: they are not sealed */
  readonly read?: DocumentReader;
}

/**
 * Everything a proxy knows, compiled once and looked up always. Invariants: of each document the last good one is in force; the tables belong to one epoch that was complete;
 * no key changes but by the content of a document (a removed Secret removes no key); a key's revocation counter never goes back.
 */
export class SnapshotIndex implements SnapshotSink {
  /** those that stand beside the shards */
  readonly revocations = new ToldRevocations();
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #metrics: SnapshotMetrics;
  readonly #slices: Slices;
  readonly #inbox: SnapshotInbox;
  readonly #listeners: EndedListeners;
  /** called whenever something new is in force */
  onApplied: () => void = () => {};
  readonly #held = new Map<string, HeldShard>();
  readonly #goneKeys = new GoneKeys();
  #tables = new SnapshotTables();
  /** what the operator says is in force, and what is in force here: they differ until the epoch is complete */
  #announced: SnapshotIndexDocument | undefined;
  #served: SnapshotIndexDocument | undefined;
  #synced = false;
  #disconnectedSinceMs: number | undefined;

  constructor({ log, metrics, clock, sliceMs = 3, read = readSnapshotDocument }: SnapshotIndexOptions) {
    this.#log = log;
    this.#listeners = new EndedListeners(log);
    this.#clock = clock;
    this.#slices = makeSlices(sliceMs);
    this.#inbox = new SnapshotInbox({
      log,
      slices: this.#slices,
      read,
      take: (name, document) => this.#take(name, document),
      forget: (name) => this.#forget(name),
    });
    this.#disconnectedSinceMs = clock.now();
    this.#metrics = makeSnapshotMetrics(metrics, {
      now: () => clock.now(),
      epoch: () => this.#served?.epoch,
      shards: () => this.#servedShards(),
      keys: () => this.#tables.keyCount,
      refused: () => this.#inbox.refused.size,
      locked: () => this.#inbox.lockedCount,
      connected: () => this.#disconnectedSinceMs === undefined,
    });
  }

  /** The key that has a credential with this hash (64 lower-case hex digits). */
  find(hashHex: string): FoundKey | undefined {
    return this.#tables.find(hashHex);
  }

  /** What is in force of a key. */
  recordOf(keyId: string): KeyRecord | undefined {
    return this.#tables.key(keyId)?.record;
  }

  /** All Channels, by id. */
  get channels(): readonly ChannelRecord[] {
    return this.#tables.channels;
  }

  /** The Channels that admit keys of this namespace, by id; the same array until Channels change. */
  channelsFor(namespace: string): readonly ChannelRecord[] {
    return this.#tables.channelsFor(namespace);
  }

  /** True from the first complete epoch on, whatever happens to the API server later. */
  get ready(): boolean {
    return this.#served !== undefined;
  }

  /** What it waits for before it is ready, in words; empty when it is. */
  missing(): readonly string[] {
    if (this.ready) return [];
    const announced = this.#announced;
    return describeMissing({
      announced,
      shards: announced === undefined ? [] : this.#missingShards(announced),
      refused: this.#inbox.refused,
      synced: this.#synced,
      connected: this.#disconnectedSinceMs === undefined,
    });
  }

  /** How long changes have not arrived for; 0 while they do. */
  disconnectedMs(): number {
    return this.#disconnectedSinceMs === undefined ? 0 : this.#clock.now() - this.#disconnectedSinceMs;
  }

  /** Calls `listener` for each key (or one credential of it, if `credentialId` is given) whose running streams must end. Gives a function that ends the subscription. */
  onEnded(listener: EndedListener): () => void {
    return this.#listeners.add(listener);
  }

  /** The epoch in force, and the revision of each of its buckets of keys (they come before the channels); undefined before the first. */
  inForce(): { epoch: number; revisions: string[] } | undefined {
    const revisions = this.#servedShards().map(({ header }) => header.revision);
    return this.#served && { epoch: this.#served.epoch, revisions: revisions.slice(0, this.#served.keyBuckets) };
  }

  /** For /debug/snapshot: identities, states and revisions; no hashes, addresses, credentials. */
  describe(): unknown {
    return describeSnapshot({
      announced: this.#announced,
      served: this.#served,
      tables: this.#tables,
      shards: this.#servedShards(),
      refused: this.#inbox.refused,
      disconnectedMs: this.disconnectedMs(),
    });
  }

  document(name: string, bytes: Uint8Array): void {
    this.#inbox.document(name, bytes);
  }

  removed(name: string): void {
    this.#inbox.removed(name);
  }

  synced(): void {
    this.#synced = true;
  }

  /** The seal keys have changed. */
  unlock(): void {
    this.#inbox.unlock();
  }

  connected(value: boolean): void {
    if (value) this.#disconnectedSinceMs = undefined;
    else this.#disconnectedSinceMs ??= this.#clock.now();
  }

  /** Resolves when everything told so far is in force or refused. */
  async settled(): Promise<void> {
    await this.#inbox.settled();
  }

  async #take(name: string, document: SnapshotDocument): Promise<RefusedDocument | undefined> {
    if (document.kind === 'keys' || document.kind === 'channels') return this.#takeShard(name, document);
    if (document.kind === 'revocations') {
      this.revocations.tell(document.entries);
      return undefined;
    }
    this.#announced = document;
    await this.#serveAnnounced();
    return undefined;
  }

  async #takeShard(name: string, shard: Shard): Promise<RefusedDocument | undefined> {
    const served = this.#served;
    const isServed = served !== undefined && served.epoch === shard.epoch;
    if (isServed && shard.buckets !== bucketsOf(served, shard.kind)) {
      return { reason: 'invalid', message: `counts ${shard.buckets} buckets where the epoch has ${bucketsOf(served, shard.kind)}` };
    }
    const before = this.#held.get(name);
    const after = await this.#compile(name, shard);
    this.#held.set(name, after);
    if (!isServed) {
      await this.#serveAnnounced();
      return undefined;
    }
    this.#swap(before, after);
    if (before !== undefined && this.#synced) this.#metrics.observeLag((this.#clock.now() - shard.publishedAt) / 1000);
    return undefined;
  }

  async #compile(name: string, shard: Shard): Promise<HeldShard> {
    const { epoch, bucket, buckets, revision, publishedAt, schema, minReader } = shard;
    const held = { name, header: { epoch, bucket, buckets, revision, publishedAt, schema, minReader } };
    if (shard.kind === 'channels') return { ...held, keys: [], channels: shard.records };
    const keys: CompiledKey[] = [];
    for (const record of shard.records) {
      keys.push(compileKey(record, makeAddressCheck(record.access.cidrs)));
      if (this.#slices.due) await this.#slices.next();
    }
    return { ...held, keys, channels: [] };
  }

  /** One bucket changes: all of it at once, nothing else. */
  #swap(before: HeldShard | undefined, held: HeldShard): void {
    const after = { ...held, keys: this.#withoutOlder(held.keys) };
    this.#held.set(held.name, after);
    const keysBefore = before?.keys ?? [];
    this.#tables.replaceKeys(keysBefore, after.keys);
    if (after.channels.length > 0 || (before !== undefined && before.channels.length > 0))
      this.#tables.setChannels(this.#servedShards().flatMap(({ channels }) => channels));
    const nowMs = this.#clock.now();
    this.#listeners.tell(keysBefore.flatMap((key) => this.#compare(key, this.#tables, nowMs)));
    this.onApplied();
  }

  /** Takes the announced epoch into force if all its shards are there: new tables are built beside the old ones and replace them in one assignment. */
  async #serveAnnounced(): Promise<void> {
    const announced = this.#announced;
    if (announced === undefined || this.#missingShards(announced).length > 0) return;
    if (this.#served !== undefined && isSameLayout(announced, this.#served)) return;
    const started = performance.now();
    const tables = new SnapshotTables();
    const shards = shardNames(announced).flatMap((name) => this.#held.get(name) ?? []);
    const current = new Map<string, HeldShard>();
    for (const shard of shards) {
      const keys = this.#withoutOlder(shard.keys);
      current.set(shard.name, { ...shard, keys });
      for (const key of keys) {
        tables.addKey(key);
        if (this.#slices.due) await this.#slices.next();
      }
    }
    tables.setChannels(shards.flatMap(({ channels }) => channels));
    const nowMs = this.#clock.now();
    const ended: EndedKey[] = [];
    for (const key of this.#tables.keys()) {
      ended.push(...this.#compare(key, tables, nowMs));
      if (this.#slices.due) await this.#slices.next();
    }
    for (const [name, shard] of current) this.#held.set(name, shard);
    this.#tables = tables;
    this.#served = announced;
    const { keyCount: keys, channels } = tables;
    const buildMs = Math.round(performance.now() - started);
    this.#log.info({ event: 'snapshot_epoch', epoch: announced.epoch, keys, channels: channels.length, buildMs }, 'snapshot in force');
    this.#listeners.tell(ended);
    this.onApplied();
  }

  /** A record whose revocation counter is lower than one seen of the same object is an old one: the newer stays, or, if the key is gone, nothing. */
  #withoutOlder(keys: readonly CompiledKey[]): readonly CompiledKey[] {
    const isOlder = ({ record }: CompiledKey): boolean => this.#goneKeys.isOlder(record, this.#tables.key(record.id)?.record);
    if (!keys.some(isOlder)) return keys;
    return keys.flatMap((key) => {
      if (!isOlder(key)) return [key];
      this.#log.warn(
        { event: 'snapshot_record_old', key: key.record.id, gen: key.record.gen },
        'a record with an older revocation counter is refused',
      );
      return this.#tables.key(key.record.id) ?? [];
    });
  }

  /** What of a key has ended in new tables. */
  #compare(before: CompiledKey, tables: SnapshotTables, nowMs: number): readonly EndedKey[] {
    const after = tables.key(before.record.id);
    if (after === undefined) this.#goneKeys.note(before.record);
    return findEnded(before, after, nowMs);
  }

  /** Shards of other epochs are kept only as long as their Secrets are there. */
  #forget(name: string): boolean {
    const epoch = this.#held.get(name)?.header.epoch;
    if (epoch !== undefined && (epoch === this.#served?.epoch || epoch === this.#announced?.epoch)) return false;
    this.#held.delete(name);
    return true;
  }

  #missingShards(index: SnapshotIndexDocument): string[] {
    return shardNames(index).filter((name) => {
      const header = this.#held.get(name)?.header;
      return header === undefined || header.buckets !== (name.includes('-keys-') ? index.keyBuckets : index.channelBuckets);
    });
  }

  #servedShards(): HeldShard[] {
    return this.#served === undefined ? [] : shardNames(this.#served).flatMap((name) => this.#held.get(name) ?? []);
  }
}
