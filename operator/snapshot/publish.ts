import { isDeepStrictEqual } from 'node:util';
import type { Registry } from 'prom-client';
import type { ShardReference } from '../../core/heartbeat.ts';
import type { Secret } from '../../core/secret.ts';
import type { ChannelRecord, KeyRecord, Shard } from '../../core/snapshot.ts';
import { revocationsSecretName } from '../../core/revocations-document.ts';
import { snapshotIndexName } from '../../core/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Cluster, ReflectedEvent, SecretObject } from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/cluster.ts';
import { describeError } from '../describe-error.ts';
import { Disputes, type Dispute } from './disputes.ts';
import { GuardedWithdrawals } from './guarded-withdrawals.ts';
import type { PublishMeters } from './publish-meters.ts';
import { makePublishMeters } from './publish-meters.ts';
import type { Bucket } from './snapshot-bucket.ts';
import type { SnapshotLayout } from '../../core/snapshot-layout.ts';
import type { SnapshotRecord } from './snapshot-documents.ts';
import { requireReadable } from './snapshot-documents.ts';
import { SnapshotShards } from './snapshot-shards.ts';
import { SnapshotStore } from './snapshot-store.ts';
import { isLater } from './take-over.ts';
import { UnpublishedRevocations } from './unpublished-revocations.ts';
import { isSameChannelRecord } from '../translate/channel.ts';
import type { WorkQueue } from '../queue/work-queue.ts';
import { makeWorkQueue } from '../queue/work-queue.ts';

/** Changes that come within this are one write … */
const quietMs = 200;
/** … but none waits longer than this. */
const longestWaitMs = 1_000;

/**
 * As stored. A shard that takes more begins an epoch with more shards; an API server takes 1 MiB of data in a Secret, so a shard may double while that epoch is written.
 */
const defaultBounds: PublishBounds = {
  shardBytes: 524_288,
  secretBytes: 1_000_000,
  layout: { epoch: 1, keyBuckets: 64, channelBuckets: 8 },
};

export interface PublisherOptions {
  readonly cluster: Cluster;
  /** of the snapshot */
  readonly namespace: string;
  readonly installationSecret: Secret;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
  /** what the proxies can now see of these has changed, or why they cannot */
  readonly onPublished: (kind: Shard['kind'], ids: readonly string[]) => void;
  /** keys that a list lacked, nobody knows why; default: none */
  readonly absentKeys?: () => number;
  /** only tests want less */
  readonly bounds?: PublishBounds;
}

export interface PublishBounds {
  readonly shardBytes: number;
  readonly secretBytes: number;
  /** with which a snapshot begins */
  readonly layout: SnapshotLayout;
}

export interface Published<R> {
  readonly record: R;
  /** when the shard that first had it in this form was written, milliseconds since 1970; undefined: without an index no proxy can see it yet */
  readonly atMs: number | undefined;
}

export interface KeyChange {
  /** without waiting for other changes */
  readonly urgent?: boolean;
  /** nobody has deleted the key or ended its credentials: it would only vanish */
  readonly unasked?: boolean;
}

/**
 * The writer of the snapshot. It knows what is published and what should be, bucket by bucket, and writes where they differ: the changes of a moment together, equal
 * content never, the index last. It starts from what is there, so that a bucket never shrinks merely because its keys have not been looked at yet.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #queue: WorkQueue;
  readonly #meters: PublishMeters;
  readonly #shards: SnapshotShards;
  readonly #withdrawals: GuardedWithdrawals;
  readonly #unpublished: UnpublishedRevocations;
  readonly #disputes: Disputes;
  /** what could not be written, and why */
  readonly #failing = new Map<string, string>();

  constructor(options: PublisherOptions) {
    this.#options = options;
    const { clock, random, metrics } = options;
    this.#meters = makePublishMeters(metrics.registry);
    this.#disputes = new Disputes(options);
    this.#queue = makeWorkQueue({
      clock,
      random,
      concurrency: 4,
      urgentConcurrency: 2,
      name: 'publish',
      metrics,
      work: (name) => this.#work(name),
      onError: (name, error) => this.#failed(name, error),
    });
    const { shardBytes, secretBytes, layout } = options.bounds ?? defaultBounds;
    const store = new SnapshotStore({ ...options, meters: this.#meters, largestSecretBytes: secretBytes });
    const shared = { ...options, store, meters: this.#meters, queue: this.#queue };
    const onDisputed = (kind: Shard['kind'], ids: readonly string[]): void => this.#disputed(kind, ids);
    this.#shards = new SnapshotShards({ ...shared, onDisputed, largestShardBytes: shardBytes, firstLayout: layout });
    this.#unpublished = new UnpublishedRevocations({
      ...shared,
      failing: () => this.#failingBuckets(),
      published: (id) => this.key(id)?.record,
      desired: (id) => this.#shards.bucketOf('keys', id).desired.get(id) as KeyRecord | undefined,
    });
    this.#withdrawals = new GuardedWithdrawals({
      ...shared,
      published: () => this.#shards.countKeys(),
      absent: options.absentKeys ?? (() => 0),
      epoch: () => this.#shards.layout.epoch,
      withdraw: (id) => {
        if (this.#disputes.isOpen('keys', id)) return;
        this.#set({ bucket: this.#shards.bucketOf('keys', id), id, record: undefined, urgent: false });
      },
    });
  }

  /** Reads what is published. Before it nothing else may be called. */
  async load(): Promise<void> {
    this.#unpublished.adopt((await this.#shards.load()).get(revocationsSecretName));
  }

  /** Begins to write what is missing. */
  start(): void {
    this.#shards.start();
  }

  /** Every key has been looked at once: from here on proxies may take the snapshot for complete. */
  open(): void {
    this.#shards.open();
    this.#queue.add(revocationsSecretName);
    this.#withdrawals.open();
  }

  /** Ids of all keys that are published or about to be. */
  *ids(kind: Shard['kind']): Iterable<string> {
    for (const { shard, desired } of this.#shards.buckets(kind)) yield* new Set([...desired.keys(), ...shard.written.keys()]);
  }

  /** What is published of a key. */
  key(id: string): Published<KeyRecord> | undefined {
    return this.#published('keys', id) as Published<KeyRecord> | undefined;
  }

  /** The shard in which what is published of a key stands, or does not stand any more. */
  shardOf(keyId: string): ShardReference {
    const { layout, index, revision } = this.#shards.bucketOf('keys', keyId).shard;
    return { epoch: layout.epoch, bucket: index, revision };
  }

  channel(id: string): Published<ChannelRecord> | undefined {
    return this.#published('channels', id) as Published<ChannelRecord> | undefined;
  }

  /** Why the proxies are not told of a change, for people; undefined: nothing hinders it. */
  hindrance(kind: Shard['kind'], id: string): string | undefined {
    if (kind === 'keys' && this.#withdrawals.blocks(id)) return this.#withdrawals.message;
    const { name } = this.#shards.bucketOf(kind, id).shard;
    const error = this.#failing.get(name) ?? (this.#shards.isAnnounced ? undefined : this.#failing.get(snapshotIndexName));
    return error === undefined ? undefined : `the snapshot cannot be written at present: ${error}`;
  }

  /** That another writer had something else to say of it lately; until it is settled theirs stands. */
  dispute(kind: Shard['kind'], id: string): Dispute | undefined {
    return this.#disputes.get(kind, id);
  }

  /** What they are to know of a key. */
  setKey(id: string, record: KeyRecord | undefined, { urgent = false, unasked = false }: KeyChange = {}): void {
    const bucket = this.#shards.bucketOf('keys', id);
    if (this.#disputes.isOpen('keys', id) && !isLater(record, bucket.desired.get(id))) return;
    if (record !== undefined || !unasked) this.#withdrawals.forget(id, record !== undefined);
    else if (bucket.desired.has(id) && this.#withdrawals.holds(id)) return;
    if (!isDeepStrictEqual(bucket.desired.get(id), record)) this.#set({ bucket, id, record, urgent });
  }

  setChannel(id: string, record: ChannelRecord | undefined): void {
    if (this.#disputes.isOpen('channels', id)) return;
    const bucket = this.#shards.bucketOf('channels', id);
    const known = bucket.desired.get(id) as ChannelRecord | undefined;
    if (!isSameChannelRecord(known, record)) this.#set({ bucket, id, record, urgent: record === undefined });
  }

  /** A watch of the snapshot's own Secrets (metadata): what others do to them is undone. */
  observe(event: ReflectedEvent<SecretObject>): void {
    this.#shards.observe(event);
  }

  get ready(): boolean {
    return this.#shards.isAnnounced && this.#failing.size === 0;
  }

  async stop(): Promise<void> {
    await this.#queue.stop();
  }

  *#failingBuckets(): Iterable<Bucket> {
    for (const name of this.#failing.keys()) {
      const bucket = this.#shards.bucket(name);
      if (bucket !== undefined) yield bucket;
    }
  }

  #published(kind: Shard['kind'], id: string): Published<SnapshotRecord> | undefined {
    const written = this.#shards.bucketOf(kind, id).shard.written.get(id);
    return written === undefined ? undefined : { record: written.record, atMs: this.#shards.isAnnounced ? written.atMs : undefined };
  }

  #disputed(kind: Shard['kind'], ids: readonly string[]): void {
    const { log, onPublished } = this.#options;
    log.warn(
      { event: 'snapshot_disputed', kind, ids },
      'somebody else has written to the snapshot; what they have changed is looked at anew',
    );
    for (const id of ids) this.#disputes.begin(kind, id);
    onPublished(kind, ids);
  }

  #set(change: { bucket: Bucket; id: string; record: SnapshotRecord | undefined; urgent: boolean }): void {
    const { bucket, id, record, urgent } = change;
    if (record === undefined) bucket.desired.delete(id);
    else {
      requireReadable(bucket.shard.kind, record);
      bucket.desired.set(id, record);
    }
    const nowMs = this.#options.clock.now();
    bucket.firstChangeMs ??= nowMs;
    bucket.lastChangeMs = nowMs;
    bucket.urgent ||= urgent;
    if (urgent) this.#queue.add(bucket.shard.name, { urgent });
    else this.#queue.addAfter(bucket.shard.name, quietMs);
  }

  async #work(name: string): Promise<void> {
    if (this.#withdrawals.isWork(name)) return this.#withdrawals.work();
    if (name === revocationsSecretName) return this.#unpublished.work();
    const bucket = this.#shards.bucket(name);
    const waitMs = bucket === undefined ? 0 : this.#waitMs(bucket);
    if (waitMs > 0) return this.#queue.addAfter(name, waitMs);
    await (bucket === undefined ? this.#shards.work(name) : this.#shards.write(bucket));
    if (this.#failing.delete(name)) this.#meters.blocked.set({ reason: 'write' }, this.#failing.size > 0 ? 1 : 0);
    // What has been said beside the shard stands in it now.
    if (this.#unpublished.size > 0) this.#queue.add(revocationsSecretName);
    if (name === snapshotIndexName) await this.#withdrawals.work();
  }

  #waitMs(bucket: Bucket): number {
    if (bucket.urgent || bucket.firstChangeMs === undefined) return 0;
    return Math.min(bucket.lastChangeMs + quietMs, bucket.firstChangeMs + longestWaitMs) - this.#options.clock.now();
  }

  #failed(name: string, error: unknown): void {
    const isNew = !this.#failing.has(name);
    this.#failing.set(name, toWords(error));
    this.#meters.blocked.set({ reason: 'write' }, 1);
    this.#meters.writes.inc({ outcome: 'failed' });
    this.#options.log.warn({ secret: name, error: describeError(error) }, 'a part of the snapshot could not be written; it is tried again');
    if (name !== revocationsSecretName) this.#queue.add(revocationsSecretName, { urgent: true });
    if (isNew) this.#tellHindered(name);
  }

  /** Their owners learn why nothing happens. */
  #tellHindered(name: string): void {
    const bucket = this.#shards.bucket(name);
    const hindered = bucket === undefined ? [] : [bucket];
    if (name === snapshotIndexName && !this.#shards.isAnnounced)
      for (const kind of ['keys', 'channels'] as const) hindered.push(...this.#shards.buckets(kind));
    for (const { shard, desired } of hindered) {
      const ids = [...desired]
        .filter(([id, record]) => name === snapshotIndexName || shard.written.get(id)?.record !== record)
        .map(([id]) => id);
      if (ids.length > 0) this.#options.onPublished(shard.kind, ids);
    }
  }
}

/** For the owners of keys, who need not know which shard theirs are in, and with whom. */
function toWords(error: unknown): string {
  return error instanceof ClusterError ? `the API server answers ${error.reason}` : 'an unexpected error; see the log of the operator';
}
