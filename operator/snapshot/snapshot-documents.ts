import { gunzipSync, gzipSync } from 'node:zlib';
import type { Secret } from '../../core/secret.ts';
import { bucketsOf, type SnapshotLayout, toDocumentName } from '../../core/snapshot-layout.ts';
import { formatSnapshotDocument, parseSnapshotDocument } from '../../core/snapshot-parse.ts';
import type { SnapshotDocument } from '../../core/snapshot-parse.ts';
import type { ChannelRecord, ChannelShard, KeyRecord, KeyShard, Shard, SnapshotIndexDocument } from '../../core/snapshot.ts';
import { snapshotEntry, snapshotSchema, snapshotSecretType } from '../../core/snapshot.ts';
import { hmacHex, sha256Hex } from '../../runtime/digest.ts';
import type { SecretObject } from '../cluster/cluster.ts';

export type SnapshotRecord = KeyRecord | ChannelRecord;

/** The bucket of an id: the same through rotation and re-creation, and without the installation secret not to be foreseen. */
export function toBucket(id: string, buckets: number, installationSecret: Secret): number {
  return toBucketHash(id, installationSecret) % buckets;
}

/** What decides the bucket of an id, whatever their number. */
export function toBucketHash(id: string, installationSecret: Secret): number {
  return Number.parseInt(hmacHex(installationSecret.reveal(), id).slice(0, 8), 16);
}

/** The same, worked out once for each id. */
export function makeBucketHashes(installationSecret: Secret): (id: string) => number {
  const hashes = new Map<string, number>();
  return (id) => {
    const known = hashes.get(id);
    if (known !== undefined) return known;
    const hash = toBucketHash(id, installationSecret);
    hashes.set(id, hash);
    return hash;
  };
}

/** The shard of these records, in an order that depends on nothing but them. */
export function toShard(options: {
  layout: SnapshotLayout;
  kind: Shard['kind'];
  bucket: number;
  records: Iterable<SnapshotRecord>;
  publishedAt: number;
}): Shard {
  const { layout, kind, bucket, publishedAt } = options;
  const records = [...options.records].toSorted((left, right) => (left.id < right.id ? -1 : 1));
  const buckets = bucketsOf(layout, kind);
  const header = { schema: snapshotSchema, minReader: snapshotSchema, epoch: layout.epoch, bucket, buckets };
  const shard = { kind, ...header, revision: '', publishedAt: 0, records } as KeyShard | ChannelShard;
  return { ...shard, revision: sha256Hex(formatSnapshotDocument(shard)).slice(0, 32), publishedAt };
}

/** The document that names the epoch in force. */
export function toIndex(layout: SnapshotLayout): SnapshotIndexDocument {
  return { kind: 'index', schema: snapshotSchema, minReader: snapshotSchema, ...layout };
}

/** The Secret that carries a document to the proxies. */
export function toSnapshotSecret(document: SnapshotDocument, namespace: string): SecretObject {
  const name = toDocumentName(document);
  const data = { [snapshotEntry]: gzipSync(formatSnapshotDocument(document)).toString('base64') };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type: snapshotSecretType, data };
}

/** The document in a snapshot Secret; undefined when there is none that this version can read. */
export function parseSnapshotSecret(secret: SecretObject): SnapshotDocument | undefined {
  const encoded = secret.data?.[snapshotEntry];
  if (secret.type !== snapshotSecretType || encoded === undefined) return undefined;
  let text: string;
  try {
    text = gunzipSync(Buffer.from(encoded, 'base64'), { maxOutputLength: 64 * 1024 * 1024 }).toString('utf8');
  } catch {
    return undefined;
  }
  const parsed = parseSnapshotDocument(text);
  return parsed.ok ? parsed.document : undefined;
}

/** Tells documents with different content apart: the revision of a shard, which leaves out when it was published; of others a digest of all of it. */
export function revisionOf(document: SnapshotDocument): string {
  return 'revision' in document ? document.revision : sha256Hex(formatSnapshotDocument(document)).slice(0, 32);
}

/** Throws when no proxy could read a shard with this record in it: one bad record must not take its bucket along. */
export function requireReadable(kind: Shard['kind'], record: SnapshotRecord): void {
  const shard = toShard({ layout: { epoch: 1, keyBuckets: 1, channelBuckets: 1 }, kind, bucket: 0, records: [record], publishedAt: 0 });
  const parsed = parseSnapshotDocument(formatSnapshotDocument(shard));
  if (!parsed.ok) throw new TypeError(`the record of ${record.id} is not readable: ${parsed.message}`);
}
