import type { Secret } from '../../core/secret.ts';
import type { SnapshotDocument } from '../../core/snapshot-parse.ts';
import type { Shard } from '../../core/snapshot.ts';
import { shardName, snapshotIndexName } from '../../core/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { ReflectedEvent, SecretObject } from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/cluster.ts';
import { FormerEpochs, formerEpochsItem } from './former-epochs.ts';
import type { PublishMeters } from './publish-meters.ts';
import type { Bucket, Fitting, ShardState } from './snapshot-bucket.ts';
import { adopt, isWritten, makeBucket, makeShardState, recordsOf, toFitting, toSettled, toSuccessor } from './snapshot-bucket.ts';
import type { SnapshotLayout } from '../../core/snapshot-layout.ts';
import type { SnapshotRecord } from './snapshot-documents.ts';
import { makeBucketHashes, toIndex, toShard } from './snapshot-documents.ts';
import { bucketsOf, isSameLayout, shardKinds } from '../../core/snapshot-layout.ts';
import { childrenOf, findLayout, toGrown } from './snapshot-layout.ts';
import type { Encoded, SnapshotStore } from './snapshot-store.ts';
import { takeOverShard, type ShardWrite } from './take-over.ts';
import type { WorkQueue } from '../queue/work-queue.ts';

export interface SnapshotShardsOptions {
  readonly store: SnapshotStore;
  readonly queue: Pick<WorkQueue, 'add' | 'addAfter'>;
  readonly installationSecret: Secret;
  readonly clock: Clock;
  readonly log: Log;
  readonly meters: PublishMeters;
  readonly largestShardBytes: number;
  /** of a snapshot that is not there yet */
  readonly firstLayout: SnapshotLayout;
  readonly onPublished: (kind: Shard['kind'], ids: readonly string[]) => void;
  /** somebody else has published something else of these than we would; theirs stands until they have been looked at anew */
  readonly onDisputed: (kind: Shard['kind'], ids: readonly string[]) => void;
}

/** The watch is often faster than the answer to our own write. */
const foreignMs = 1_000;
/** A new epoch begins a little below the bound, or a bucket that is larger than the others would at once be over it again. */
const freshShare = 0.9;

/**
 * The shards of the epoch in force, of the next one while it is being written, and of former ones until they are removed. Invariants:
 * - the index names an epoch only when all its shards are there;
 * - until then the epoch in force gets every change, and a shard of the next one that is there gets it before: whoever reads the index first or last sees no key go back;
 * - of two writes to one Secret the second begins after the first has ended.
 */
export class SnapshotShards {
  readonly #options: SnapshotShardsOptions;
  readonly #hashOf: (id: string) => number;
  readonly #former: FormerEpochs;
  #buckets = new Map<string, Bucket>();
  #layout: SnapshotLayout;
  /** the epoch that is being written */
  #next: SnapshotLayout | undefined;
  /** the index may name the next epoch already */
  #switching = false;
  /** gone: it was there and somebody has removed it */
  #index: 'missing' | 'written' | 'gone' = 'missing';
  #open = false;

  constructor(options: SnapshotShardsOptions) {
    this.#options = options;
    this.#hashOf = makeBucketHashes(options.installationSecret);
    this.#layout = options.firstLayout;
    this.#former = new FormerEpochs({ ...options, layout: () => this.#layout, next: () => this.#next });
  }

  get layout(): SnapshotLayout {
    return this.#layout;
  }

  /** Whether proxies have an index to go by. */
  get isAnnounced(): boolean {
    return this.#index !== 'missing';
  }

  /** Gives all documents that are there. */
  async load(): Promise<ReadonlyMap<string, SnapshotDocument | undefined>> {
    const documents = await this.#options.store.load();
    const index = documents.get(snapshotIndexName);
    if (index?.kind === 'index') this.#index = 'written';
    this.#layout =
      index?.kind === 'index'
        ? { epoch: index.epoch, keyBuckets: index.keyBuckets, channelBuckets: index.channelBuckets }
        : (findLayout(documents) ?? this.#layout);
    for (const kind of shardKinds) {
      for (let bucket = 0; bucket < bucketsOf(this.#layout, kind); bucket += 1) {
        const made = makeBucket(makeShardState(this.#layout, kind, bucket));
        const document = documents.get(made.shard.name);
        if (document?.kind === kind) adopt(made, document);
        else made.lost = this.#index === 'written';
        this.#buckets.set(made.shard.name, made);
      }
    }
    this.#options.meters.epoch.set(this.#layout.epoch);
    this.#options.meters.keys.set(this.countKeys());
    return documents;
  }

  start(): void {
    const { queue, store } = this.#options;
    for (const name of this.#buckets.keys()) if (!store.of(name).exists) queue.add(name);
    this.#former.start();
  }

  /** Every key has been looked at. */
  open(): void {
    this.#open = true;
    const { queue, store, largestShardBytes } = this.#options;
    queue.add(snapshotIndexName);
    for (const { shard, lost } of this.#buckets.values()) {
      if (lost || store.of(shard.name).bytes > largestShardBytes) queue.add(shard.name);
    }
  }

  *buckets(kind: Shard['kind']): Iterable<Bucket> {
    for (const bucket of this.#buckets.values()) if (bucket.shard.kind === kind) yield bucket;
  }

  bucket(name: string): Bucket | undefined {
    return this.#buckets.get(name);
  }

  bucketOf(kind: Shard['kind'], id: string): Bucket {
    const index = this.#hashOf(id) % bucketsOf(this.#layout, kind);
    const bucket = this.#buckets.get(shardName(this.#layout.epoch, kind, index));
    if (bucket === undefined) throw new TypeError('the publisher has not been loaded');
    return bucket;
  }

  countKeys(): number {
    let count = 0;
    for (const { shard } of this.buckets('keys')) count += shard.written.size;
    return count;
  }

  observe(event: ReflectedEvent<SecretObject>): void {
    const foreign = this.#options.store.observe(event);
    if (foreign === undefined) return;
    const { name } = foreign;
    if (name === snapshotIndexName && event.type === 'Deleted' && this.#index === 'written') this.#index = 'gone';
    const bucket =
      this.#buckets.get(name) ?? [...this.#buckets.values()].find(({ children }) => children.some((child) => child.name === name));
    if (bucket !== undefined) this.#options.queue.addAfter(bucket.shard.name, foreignMs);
    else if (name === snapshotIndexName) this.#options.queue.addAfter(name, foreignMs);
  }

  /** Work that is no bucket's: the index, former epochs. */
  async work(item: string): Promise<void> {
    if (item === snapshotIndexName) return this.#writeIndex();
    if (item === formerEpochsItem) return this.#former.work();
  }

  /** Brings one bucket's shards to what is desired. */
  async write(bucket: Bucket): Promise<void> {
    if (bucket.running !== undefined) {
      await bucket.running.catch(() => undefined);
      // Another epoch has come meanwhile, and with it another bucket for the same keys.
      if (this.#buckets.get(bucket.shard.name) !== bucket) return;
    }
    if (bucket.lost && !this.#open) return;
    bucket.running = this.#writeAll(bucket);
    try {
      await bucket.running;
    } finally {
      bucket.running = undefined;
    }
    // Each written shard may have been the last one that the index waits for; the index itself must not wait for itself.
    if ((this.#open && this.#index === 'missing') || this.#isNextReady()) this.#options.queue.add(snapshotIndexName);
  }

  async #writeAll(bucket: Bucket): Promise<void> {
    const { clock, meters } = this.#options;
    const { urgent, firstChangeMs, shard } = bucket;
    const nowMs = clock.now();
    const desired = new Map(bucket.desired);
    bucket.urgent = false;
    bucket.firstChangeMs = undefined;
    try {
      // A shard of the next epoch that was written once is never behind the one in force …
      const trouble = await this.#writeChildren(bucket, desired, true);
      await this.#writeShard(bucket, shard, desired);
      // … but nobody has to wait for one that is not there yet.
      const later = await this.#writeChildren(bucket, desired, false);
      if ((trouble ?? later) !== undefined) throw trouble ?? later;
    } catch (error) {
      bucket.urgent ||= urgent;
      bucket.firstChangeMs ??= firstChangeMs ?? nowMs;
      throw error;
    }
    if (firstChangeMs !== undefined) meters.duration.observe((clock.now() - firstChangeMs) / 1000);
  }

  /** @returns what went wrong, if the epoch in force may be written all the same */
  async #writeChildren(bucket: Bucket, desired: Map<string, SnapshotRecord>, complete: boolean): Promise<unknown> {
    let trouble: unknown;
    for (const child of bucket.children.filter((each) => each.complete === complete)) {
      try {
        await this.#writeShard(bucket, child, desired);
        child.behind = false;
      } catch (error) {
        child.behind = true;
        // The index may name it already: then what the epoch in force gets must not be missing here.
        if (this.#switching) throw error;
        trouble = error;
      }
    }
    return trouble;
  }

  /** `desired`: of the whole bucket; what somebody else has changed becomes part of it */
  async #writeShard(bucket: Bucket, shard: ShardState, desired: Map<string, SnapshotRecord>): Promise<void> {
    const { store, clock } = this.#options;
    const secret = store.of(shard.name);
    const publishedAt = clock.now();
    let records: ReadonlyMap<string, SnapshotRecord> = recordsOf(shard, desired, this.#hashOf);
    let { revision } = toShard({ ...shard, bucket: shard.index, records: records.values(), publishedAt });
    if (secret.isForeign || secret.revision !== revision) {
      const encode = (): Encoded => {
        const fitting = toFitting(store, shard, { records: recordsOf(shard, desired, this.#hashOf), publishedAt });
        ({ records } = fitting);
        ({ revision } = fitting.encoded);
        this.#requireWhole(shard, fitting);
        this.#growIfDue(shard, fitting.wantedBytes);
        return fitting.encoded;
      };
      await store.write(encode(), (found) => {
        this.#takeOver({ bucket, shard, desired }, found);
        return encode();
      });
    } else this.#growIfDue(shard, secret.bytes);
    shard.complete = true;
    shard.revision = revision;
    this.#note(shard, records);
  }

  /** What somebody else has written is what is published now; of what we would have changed of theirs theirs stands, until it has been looked at. */
  #takeOver(write: ShardWrite, found: SnapshotDocument): void {
    const { shard } = write;
    if (found.kind !== shard.kind) return;
    const { theirs, disputed } = takeOverShard(write, found, this.#hashOf);
    shard.revision = found.revision;
    this.#note(shard, theirs);
    if (disputed.length > 0) this.#options.onDisputed(shard.kind, disputed);
  }

  /** What was written is published from now on. Records that stay as they were keep their time. */
  #note(shard: ShardState, records: ReadonlyMap<string, SnapshotRecord>): void {
    const { meters, clock, onPublished } = this.#options;
    const { written, changed } = toSettled(shard.written, records, clock.now());
    shard.written = written;
    // Nobody can see the next epoch yet.
    if (this.#buckets.get(shard.name)?.shard !== shard) return;
    meters.keys.set(this.countKeys());
    if (this.#index !== 'missing' && changed.length > 0) onPublished(shard.kind, changed);
  }

  /** The index makes the shards one snapshot, so it comes when all of them are there. */
  async #writeIndex(): Promise<void> {
    const { store } = this.#options;
    if (this.#index === 'missing' && !this.#isFirstReady()) return;
    if (store.of(snapshotIndexName).isForeign) await this.#lookAtIndex();
    const next = this.#isNextReady() ? this.#next : undefined;
    if (next !== undefined) this.#switching = true;
    await store.write(store.encode(toIndex(next ?? this.#layout)));
    const wasMissing = this.#index === 'missing';
    this.#index = 'written';
    if (next !== undefined) this.#switch(next);
    else if (wasMissing) this.#noteFirst();
  }

  /** Somebody else was there: a former leader whose last write came late may have done what is to be done next. */
  async #lookAtIndex(): Promise<void> {
    const found = await this.#options.store.read(snapshotIndexName);
    if (found?.kind === 'index' && this.#next !== undefined && isSameLayout(found, this.#next) && this.#isNextReady())
      this.#switch(this.#next);
  }

  #isFirstReady(): boolean {
    return this.#open && [...this.#buckets.keys()].every((name) => this.#options.store.of(name).exists);
  }

  #isNextReady(): boolean {
    if (this.#next === undefined || !this.#open) return false;
    return [...this.#buckets.values()].every(({ children }) => children.every(({ complete, behind }) => complete && !behind));
  }

  /** Until now no proxy could see the shards, whenever they were written. */
  #noteFirst(): void {
    const atMs = this.#options.clock.now();
    for (const kind of shardKinds) {
      for (const { shard } of this.buckets(kind))
        shard.written = new Map([...shard.written].map(([id, { record }]) => [id, { record, atMs }]));
      this.#options.onPublished(
        kind,
        [...this.buckets(kind)].flatMap(({ shard, desired }) => [...new Set([...desired.keys(), ...shard.written.keys()])]),
      );
    }
  }

  /** A shard of the epoch in force that is too large begins an epoch with at least twice as many. */
  #growIfDue({ kind, layout }: ShardState, bytes: number): void {
    const { largestShardBytes } = this.#options;
    if (layout !== this.#layout || this.#next !== undefined || !this.#open || bytes <= largestShardBytes) return;
    let factor = 2;
    while (bytes / factor > largestShardBytes * freshShare) factor *= 2;
    this.#grow(kind, factor);
  }

  /** Begins the next epoch, with `factor` times as many shards of a kind as are in force; also anew, when one of it turned out too small. */
  #grow(kind: Shard['kind'], factor: number): void {
    const { log, queue } = this.#options;
    const next = toGrown({ layout: this.#layout, next: this.#next, kind, factor });
    if (bucketsOf(next, kind) === bucketsOf(this.#next ?? this.#layout, kind)) return;
    this.#next = next;
    log.info({ event: 'snapshot_epoch_begun', ...next, kind }, 'a shard is too large: an epoch with more shards is written');
    for (const bucket of this.#buckets.values()) {
      const { name, kind: own, index } = bucket.shard;
      const children = childrenOf(index, { before: this.#layout, after: next, kind: own });
      bucket.children = children.map((child) => makeShardState(next, own, child));
      queue.add(name);
    }
  }

  /** The whole of a shard of the next epoch, or nothing: a part of it would be taken for all there is. */
  #requireWhole({ kind, layout, name }: ShardState, { wantedBytes, encoded }: Fitting): void {
    if (layout === this.#layout || wantedBytes === encoded.bytes) return;
    if (layout === this.#next && !this.#switching) this.#grow(kind, (2 * bucketsOf(layout, kind)) / bucketsOf(this.#layout, kind));
    throw new ClusterError('Invalid', `shard ${name} would be too large for a Secret`);
  }

  /** The index names the next epoch. */
  #switch(next: SnapshotLayout): void {
    const { clock, queue, log, meters, onPublished } = this.#options;
    const nowMs = clock.now();
    const before = this.#buckets;
    const changed: Record<Shard['kind'], string[]> = { keys: [], channels: [] };
    this.#buckets = new Map();
    for (const old of before.values()) {
      for (const child of old.children) {
        const { bucket, news } = toSuccessor(old, child, { hashOf: this.#hashOf, nowMs });
        changed[child.kind].push(...news);
        bucket.running = old.running;
        if (!isWritten(child, bucket.desired)) {
          Object.assign(bucket, { urgent: old.urgent, firstChangeMs: old.firstChangeMs ?? nowMs, lastChangeMs: old.lastChangeMs });
          queue.add(child.name, { urgent: true });
        }
        this.#buckets.set(child.name, bucket);
      }
    }
    this.#layout = next;
    this.#next = undefined;
    this.#switching = false;
    meters.epoch.set(next.epoch);
    log.info({ event: 'snapshot_epoch', ...next }, 'an epoch with more shards is in force');
    for (const kind of shardKinds) if (changed[kind].length > 0) onPublished(kind, changed[kind]);
    this.#former.start();
    for (const { shard } of this.#buckets.values()) this.#growIfDue(shard, this.#options.store.of(shard.name).bytes);
  }
}
