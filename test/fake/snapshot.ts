import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { formatSnapshotDocument, type SnapshotDocument } from '../../core/snapshot-parse.ts';
import {
  type ChannelRecord,
  type CredentialEntry,
  type KeyRecord,
  type Shard,
  shardName,
  snapshotIndexName,
  snapshotReader,
  snapshotSchema,
} from '../../core/snapshot.ts';
import { Secret } from '../../core/secret.ts';

export function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** A credential of the plaintext `key`. */
export function credentialOf(key: string, changes: Partial<CredentialEntry> = {}): CredentialEntry {
  return { id: hashOf(`id of ${key}`).slice(0, 12), hash: hashOf(key), prefix: 'sk-kw-abcd…', state: 'Active', ...changes };
}

/** An active key `default/<name>` without limits whose plaintext is `<name>-key`. */
export function keyRecord(name: string, changes: Partial<KeyRecord> = {}): KeyRecord {
  return {
    id: `default/${name}`,
    uid: `uid-of-${name}`,
    generation: 1,
    gen: 0,
    state: 'Active',
    credentials: [credentialOf(`${name}-key`)],
    access: {},
    ...changes,
  };
}

export function channelRecord(name: string, changes: Partial<ChannelRecord> = {}): ChannelRecord {
  return {
    id: `default/${name}`,
    uid: `uid-of-${name}`,
    generation: 1,
    provider: 'OpenAI',
    baseUrl: 'https://provider.example.com',
    credentials: [{ name: 'main', weight: 1, secret: new Secret('sk-provider-secret') }],
    authHeader: 'authorization',
    authScheme: 'Bearer',
    priority: 0,
    weight: 1,
    namespaces: 'All',
    timeouts: { connectMs: 1_000, firstByteMs: 60_000, idleMs: 60_000, totalMs: 600_000 },
    retries: { attempts: 0, on: [] },
    headers: {},
    tls: {},
    ...changes,
  };
}

/** A document under its name, gzipped as proxies get it. */
export interface NamedDocument {
  readonly name: string;
  readonly bytes: Uint8Array;
}

interface Place {
  readonly epoch?: number;
  readonly bucket?: number;
  readonly buckets?: number;
  readonly publishedAt?: number;
  readonly minReader?: number;
}

export function keyShard(records: readonly KeyRecord[], place: Place = {}): NamedDocument {
  return toNamed({ kind: 'keys', ...toHeader(place, records), records });
}

export function channelShard(records: readonly ChannelRecord[], place: Place = {}): NamedDocument {
  return toNamed({ kind: 'channels', ...toHeader(place, records), records });
}

export function indexDocument({ epoch = 1, keyBuckets = 1, channelBuckets = 1, minReader = snapshotReader } = {}): NamedDocument {
  const document: SnapshotDocument = { kind: 'index', schema: snapshotSchema, minReader, epoch, keyBuckets, channelBuckets };
  return { name: snapshotIndexName, bytes: toBytes(document) };
}

function toHeader(
  { epoch = 1, bucket = 0, buckets = 1, publishedAt = 0, minReader = snapshotReader }: Place,
  records: unknown,
): Omit<Shard, 'kind' | 'records'> {
  return { schema: snapshotSchema, minReader, epoch, bucket, buckets, publishedAt, revision: hashOf(JSON.stringify(records)).slice(0, 16) };
}

function toNamed(shard: Shard): NamedDocument {
  return { name: shardName(shard.epoch, shard.kind, shard.bucket), bytes: toBytes(shard) };
}

function toBytes(document: SnapshotDocument): Uint8Array {
  return gzipSync(formatSnapshotDocument(document));
}
