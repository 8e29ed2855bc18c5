import { isDeepStrictEqual } from 'node:util';
import type { Registry } from 'prom-client';
import type { Secret } from '../core/secret.ts';
import type { ChannelRecord, KeyRecord, Shard } from '../core/snapshot.ts';
import { shardName, snapshotIndexName, snapshotSecretType } from '../core/snapshot.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Cluster, ReflectedEvent, SecretObject } from './cluster/cluster.ts';
import { ClusterError } from './cluster/cluster.ts';
import { describeError } from './describe-error.ts';
import type { PublishMeters } from './publish-meters.ts';
import { makePublishMeters } from './publish-meters.ts';
import type { SnapshotLayout, SnapshotRecord } from './snapshot-buckets.ts';
import { defaultLayout, parseSnapshotSecret, requireReadable, toBucket, toShard, toSnapshotSecret } from './snapshot-buckets.ts';
import { isSameChannelRecord } from './translate/channel.ts';
import type { WorkQueue } from './work-queue.ts';
import { makeWorkQueue } from './work-queue.ts';
import { writeIndex } from './write-index.ts';

/** Changes that come within this are one write … */
const quietMs = 200;
/** … but none waits longer than this. */
const longestWaitMs = 1_000;
const writeAttempts = 4;

export interface PublisherOptions {
  readonly cluster: Cluster;
  /** of the snapshot */
  readonly namespace: string;
  readonly installationSecret: Secret;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
  /** what the proxies can now see of these has changed */
  readonly onPublished: (kind: Shard['kind'], ids: readonly string[]) => void;
}

export interface Published<R> {
  readonly record: R;
  /** when the shard that first had it in this form was written, milliseconds since 1970; undefined: without an index no proxy can see it yet */
  readonly atMs: number | undefined;
}

interface Written {
  readonly record: SnapshotRecord;
  readonly atMs: number;
}

interface Bucket {
  readonly kind: Shard['kind'];
  readonly index: number;
  readonly desired: Map<string, SnapshotRecord>;
  published: Map<string, Written>;
  /** as we know it: absent = none yet */
  secret: { readonly resourceVersion: string; readonly revision: string } | undefined;
  /** the version that the watch has shown last, `''` once it was removed; another one than ours: somebody else was there */
  observed: string | undefined;
  urgent: boolean;
  firstChangeMs: number | undefined;
  lastChangeMs: number;
}

/**
 * The writer of the snapshot. It knows what is published and what should be, bucket by bucket, and writes where they differ: the changes of a moment together, equal
 * content never, the index last. It starts from what is there, so that a bucket never shrinks merely because its keys have not been looked at yet.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #buckets = new Map<string, Bucket>();
  readonly #queue: WorkQueue;
  readonly #meters: PublishMeters;
  readonly #failing = new Set<string>();
  readonly #bytes = new Map<string, number>();
  #layout: SnapshotLayout = defaultLayout;
  /** gone: it was there and somebody has removed it */
  #index: 'missing' | 'written' | 'gone' = 'missing';
  #open = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    const { clock, random, metrics } = options;
    this.#meters = makePublishMeters(metrics.registry);
    this.#queue = makeWorkQueue({
      clock,
      random,
      concurrency: 4,
      name: 'publish',
      metrics,
      work: (name) => this.#work(name),
      onError: (name, error) => this.#failed(name, error),
    });
  }

  /** Reads what is published. Before it nothing else may be called. */
  async load(): Promise<void> {
    const { cluster, namespace } = this.#options;
    const secrets = await cluster.list<SecretObject>({ kind: 'Secret', namespace, fieldSelector: `type=${snapshotSecretType}` });
    const documents = secrets.map((secret) => ({ secret, document: parseSnapshotSecret(secret) }));
    const index = documents.find(({ document }) => document?.kind === 'index')?.document;
    if (index?.kind === 'index') {
      this.#index = 'written';
      this.#layout = { epoch: index.epoch, keyBuckets: index.keyBuckets, channelBuckets: index.channelBuckets };
    }
    this.#makeBuckets();
    for (const { secret, document } of documents) {
      const bucket = this.#buckets.get(secret.metadata.name);
      if (bucket !== undefined) this.#adopt(bucket, secret, document?.kind === bucket.kind ? document : undefined);
    }
  }

  /** Begins to write what is missing. */
  start(): void {
    for (const [name, bucket] of this.#buckets) if (bucket.secret === undefined) this.#queue.add(name);
  }

  /** Every key has been looked at once: from here on proxies may take the snapshot for complete. */
  open(): void {
    this.#open = true;
    this.#queue.add(snapshotIndexName);
  }

  /** Ids of all keys that are published or about to be. */
  *ids(kind: Shard['kind']): Iterable<string> {
    for (const bucket of this.#buckets.values())
      if (bucket.kind === kind) yield* new Set([...bucket.desired.keys(), ...bucket.published.keys()]);
  }

  /** What is published of a key. */
  key(id: string): Published<KeyRecord> | undefined {
    return this.#published('keys', id) as Published<KeyRecord> | undefined;
  }

  channel(id: string): Published<ChannelRecord> | undefined {
    return this.#published('channels', id) as Published<ChannelRecord> | undefined;
  }

  /** What they are to know of a key. `urgent`: without waiting for other changes. */
  setKey(id: string, record: KeyRecord | undefined, options: { urgent: boolean } = { urgent: false }): void {
    const bucket = this.#bucketOf('keys', id);
    if (!isDeepStrictEqual(bucket.desired.get(id), record)) this.#set({ bucket, id, record, urgent: options.urgent });
  }

  setChannel(id: string, record: ChannelRecord | undefined): void {
    const bucket = this.#bucketOf('channels', id);
    const known = bucket.desired.get(id) as ChannelRecord | undefined;
    if (!isSameChannelRecord(known, record)) this.#set({ bucket, id, record, urgent: record === undefined });
  }

  /** A watch of the snapshot's own Secrets (metadata): what others do to them is undone. */
  observe(event: ReflectedEvent<SecretObject>): void {
    if (event.type === 'Synced') return;
    const { name, resourceVersion } = event.object.metadata;
    if (name === snapshotIndexName && event.type === 'Deleted' && event.seen) {
      this.#index = 'gone';
      this.#queue.add(name);
    }
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) return;
    bucket.observed = event.type === 'Applied' ? resourceVersion : '';
    // Later, because the watch is often faster than the answer to our own write.
    if (isForeign(bucket)) this.#queue.addAfter(name, longestWaitMs);
  }

  get ready(): boolean {
    return this.#index === 'written' && this.#failing.size === 0;
  }

  async stop(): Promise<void> {
    await this.#queue.stop();
  }

  #published(kind: Shard['kind'], id: string): Published<SnapshotRecord> | undefined {
    const written = this.#bucketOf(kind, id).published.get(id);
    return written === undefined ? undefined : { record: written.record, atMs: this.#index === 'missing' ? undefined : written.atMs };
  }

  #makeBuckets(): void {
    for (const [kind, count] of [
      ['keys', this.#layout.keyBuckets],
      ['channels', this.#layout.channelBuckets],
    ] as const) {
      for (let index = 0; index < count; index += 1) {
        this.#buckets.set(shardName(this.#layout.epoch, kind, index), {
          kind,
          index,
          desired: new Map(),
          published: new Map(),
          secret: undefined,
          observed: undefined,
          urgent: false,
          firstChangeMs: undefined,
          lastChangeMs: 0,
        });
      }
    }
  }

  /** A shard that cannot be read counts as empty, but its Secret is there to be replaced. */
  #adopt(bucket: Bucket, secret: SecretObject, shard: Shard | undefined): void {
    bucket.secret = { resourceVersion: secret.metadata.resourceVersion ?? '', revision: shard?.revision ?? '' };
    for (const record of shard?.records ?? []) {
      bucket.desired.set(record.id, record);
      bucket.published.set(record.id, { record, atMs: shard?.publishedAt ?? 0 });
    }
  }

  #bucketOf(kind: Shard['kind'], id: string): Bucket {
    const { epoch, keyBuckets, channelBuckets } = this.#layout;
    const index = toBucket(id, kind === 'keys' ? keyBuckets : channelBuckets, this.#options.installationSecret);
    const bucket = this.#buckets.get(shardName(epoch, kind, index));
    if (bucket === undefined) throw new TypeError('the publisher has not been loaded');
    return bucket;
  }

  #set(change: { bucket: Bucket; id: string; record: SnapshotRecord | undefined; urgent: boolean }): void {
    const { bucket, id, record, urgent } = change;
    if (record === undefined) bucket.desired.delete(id);
    else {
      requireReadable(bucket.kind, record);
      bucket.desired.set(id, record);
    }
    const nowMs = this.#options.clock.now();
    bucket.firstChangeMs ??= nowMs;
    bucket.lastChangeMs = nowMs;
    bucket.urgent ||= urgent;
    const name = shardName(this.#layout.epoch, bucket.kind, bucket.index);
    if (urgent) this.#queue.add(name);
    else this.#queue.addAfter(name, quietMs);
  }

  async #work(name: string): Promise<void> {
    const bucket = this.#buckets.get(name);
    const waitMs = bucket === undefined ? 0 : this.#waitMs(bucket);
    if (waitMs > 0) return this.#queue.addAfter(name, waitMs);
    await (bucket === undefined ? this.#writeIndex() : this.#writeBucket(name, bucket));
    if (this.#failing.delete(name)) this.#meters.blocked.set(this.#failing.size > 0 ? 1 : 0);
    // Each written shard may have been the last one that the index waits for; the index itself must not wait for itself.
    if (bucket !== undefined && this.#open && this.#index === 'missing') this.#queue.add(snapshotIndexName);
  }

  #waitMs(bucket: Bucket): number {
    if (bucket.urgent || bucket.firstChangeMs === undefined) return 0;
    return Math.min(bucket.lastChangeMs + quietMs, bucket.firstChangeMs + longestWaitMs) - this.#options.clock.now();
  }

  async #writeBucket(name: string, bucket: Bucket): Promise<void> {
    const nowMs = this.#options.clock.now();
    const { urgent, firstChangeMs } = bucket;
    const desired = new Map(bucket.desired);
    bucket.urgent = false;
    bucket.firstChangeMs = undefined;
    const shard = toShard({ layout: this.#layout, kind: bucket.kind, bucket: bucket.index, records: desired.values(), publishedAt: nowMs });
    try {
      if (isForeign(bucket)) await this.#reread(name, bucket);
      if (bucket.secret?.revision !== shard.revision) await this.#write(bucket, shard);
    } catch (error) {
      bucket.urgent ||= urgent;
      bucket.firstChangeMs ??= firstChangeMs ?? nowMs;
      throw error;
    }
    if (firstChangeMs !== undefined) this.#meters.duration.observe((this.#options.clock.now() - firstChangeMs) / 1000);
    this.#note(bucket, desired);
  }

  async #write(bucket: Bucket, shard: Shard): Promise<void> {
    const { cluster, namespace } = this.#options;
    const secret = toSnapshotSecret(shard, namespace);
    const { name } = secret.metadata;
    for (let attempt = 0; attempt < writeAttempts; attempt += 1) {
      const known = bucket.secret?.resourceVersion;
      const outcome = await (known === undefined
        ? cluster.create(secret)
        : cluster.replace({ ...secret, metadata: { ...secret.metadata, resourceVersion: known } }));
      if (outcome.outcome === 'written') {
        bucket.secret = { resourceVersion: outcome.object.metadata.resourceVersion ?? '', revision: shard.revision };
        this.#meters.writes.inc({ outcome: 'written' });
        this.#bytes.set(name, secret.data?.['document']?.length ?? 0);
        this.#meters.bytes.set([...this.#bytes.values()].reduce((sum, bytes) => sum + bytes, 0));
        return;
      }
      this.#meters.writes.inc({ outcome: outcome.outcome });
      await this.#reread(name, bucket);
      if (bucket.secret?.revision === shard.revision) return;
    }
    throw new ClusterError('Unavailable', `Secret ${name} is written by somebody else again and again`);
  }

  async #reread(name: string, bucket: Bucket): Promise<void> {
    const { cluster, namespace } = this.#options;
    const secret = await cluster.get<SecretObject>({ kind: 'Secret', namespace, name });
    const document = secret === undefined ? undefined : parseSnapshotSecret(secret);
    const revision = document?.kind === bucket.kind ? document.revision : '';
    bucket.secret = secret === undefined ? undefined : { resourceVersion: secret.metadata.resourceVersion ?? '', revision };
    bucket.observed = bucket.secret?.resourceVersion;
  }

  /** What was written is published from now on. Records that stay as they were keep their time. */
  #note(bucket: Bucket, written: ReadonlyMap<string, SnapshotRecord>): void {
    const atMs = this.#options.clock.now();
    const before = bucket.published;
    bucket.published = new Map();
    const changed: string[] = [];
    for (const [id, record] of written) {
      const known = before.get(id);
      // Records are replaced, never changed, so an unchanged one is the very same object.
      if (known?.record === record) bucket.published.set(id, known);
      else {
        bucket.published.set(id, { record, atMs });
        changed.push(id);
      }
    }
    for (const id of before.keys()) if (!written.has(id)) changed.push(id);
    this.#meters.keys.set(this.#countKeys());
    if (this.#index !== 'missing' && changed.length > 0) this.#options.onPublished(bucket.kind, changed);
  }

  #countKeys(): number {
    let count = 0;
    for (const bucket of this.#buckets.values()) if (bucket.kind === 'keys') count += bucket.published.size;
    return count;
  }

  /** The index makes the shards one snapshot, so it comes when all of them are there. */
  async #writeIndex(): Promise<void> {
    if (!this.#open || this.#index === 'written') return;
    if ([...this.#buckets.values()].some(({ secret }) => secret === undefined)) return;
    await writeIndex(this.#options, this.#layout);
    const wasMissing = this.#index === 'missing';
    this.#index = 'written';
    if (wasMissing) this.#noteFirst();
  }

  /** Until now no proxy could see the shards, whenever they were written. */
  #noteFirst(): void {
    const atMs = this.#options.clock.now();
    for (const kind of ['keys', 'channels'] as const) {
      const ids = [...this.ids(kind)];
      for (const bucket of this.#buckets.values())
        for (const [id, { record }] of bucket.published) bucket.published.set(id, { record, atMs });
      this.#options.onPublished(kind, ids);
    }
  }

  #failed(name: string, error: unknown): void {
    this.#failing.add(name);
    this.#meters.blocked.set(1);
    this.#meters.writes.inc({ outcome: 'failed' });
    this.#options.log.warn({ secret: name, error: describeError(error) }, 'a part of the snapshot could not be written; it is tried again');
  }
}

function isForeign({ observed, secret }: Bucket): boolean {
  return observed !== undefined && observed !== secret?.resourceVersion;
}
