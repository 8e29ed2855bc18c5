import type { SecretObject } from '../cluster/cluster.ts';

export const revokedType = 'keywright.dev/revoked';
export const revokedIndexName = 'revoked-index';
/** On the index: the numbers of lost shards (or `all`) whose loss somebody has accepted, so that they begin anew. */
export const acceptLossAnnotation = 'keywright.dev/accept-loss';

/** 500,000 hashes are 250 KB in each of them, of the 1 MiB that a Secret may have; two million still fit. */
const shardCount = 64;
export const allShards: readonly number[] = Array.from({ length: shardCount }, (_, number) => number);
const hashBytes = 32;
const shardPattern = /^revoked-([0-9a-f]{2})$/;

export interface RevokedIndex {
  /** numbers of the shards that are there */
  readonly shards: readonly number[];
  /** above the generation of every removed tombstone */
  readonly firstGeneration: number;
}

/** Which shard a hash (hex) is filed in: by its first six bits. */
export function shardOf(hash: string): number {
  return Number.parseInt(hash.slice(0, 2), 16) >> 2;
}

export function revokedShardName(number: number): string {
  return `revoked-${number.toString(16).padStart(2, '0')}`;
}

export function toRevokedShard(number: number, hashes: Uint8Array, namespace: string): SecretObject {
  return toSecret(revokedShardName(number), namespace, { hashes: Buffer.from(hashes).toString('base64') });
}

/** The hashes of a shard's Secret; undefined when it is none, or damaged. */
export function parseRevokedShard(secret: SecretObject): { readonly number: number; readonly hashes: Uint8Array } | undefined {
  const number = Number.parseInt(shardPattern.exec(secret.metadata.name)?.[1] ?? '', 16);
  const encoded = secret.data?.['hashes'];
  if (secret.type !== revokedType || !(number < shardCount) || encoded === undefined) return undefined;
  const hashes = Buffer.from(encoded, 'base64');
  return isShard(hashes, number) ? { number, hashes } : undefined;
}

/** Whole hashes, in order, all of this shard. */
function isShard(hashes: Buffer, number: number): boolean {
  if (hashes.length % hashBytes !== 0) return false;
  for (let start = 0; start < hashes.length; start += hashBytes) {
    const isSorted = start === 0 || hashes.compare(hashes, start, start + hashBytes, start - hashBytes, start) < 0;
    if (!isSorted || (hashes[start] ?? 0) >> 2 !== number) return false;
  }
  return true;
}

export function toRevokedIndex(index: RevokedIndex, namespace: string): SecretObject {
  const text = JSON.stringify({ schema: 1, ...index });
  return toSecret(revokedIndexName, namespace, { index: Buffer.from(text).toString('base64') });
}

/** The index in a Secret; undefined when it is none, or damaged. */
export function parseRevokedIndex(secret: SecretObject): RevokedIndex | undefined {
  if (secret.type !== revokedType) return undefined;
  try {
    const value = JSON.parse(Buffer.from(secret.data?.['index'] ?? '', 'base64').toString('utf8')) as Partial<RevokedIndex>;
    const { shards, firstGeneration } = value;
    const isIndex = Array.isArray(shards) && shards.every(Number.isInteger) && Number.isSafeInteger(firstGeneration);
    return isIndex ? { shards, firstGeneration: firstGeneration ?? 0 } : undefined;
  } catch {
    return undefined;
  }
}

/** The shards of which somebody has said, by an annotation, that their loss has to be lived with. */
export function acceptedLosses(index: SecretObject | undefined): readonly number[] {
  const text = index?.metadata.annotations?.[acceptLossAnnotation];
  if (text === undefined) return [];
  const names = text.split(',').map((name) => name.trim());
  return names.includes('all') ? allShards : allShards.filter((number) => names.includes(revokedShardName(number)));
}

/** Whether a sorted list of raw hashes has this one (hex). */
export function holdsHash(hashes: Uint8Array, hash: string): boolean {
  const wanted = Buffer.from(hash, 'hex');
  let low = 0;
  let high = hashes.length / hashBytes;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = wanted.compare(hashes, middle * hashBytes, (middle + 1) * hashBytes);
    if (order === 0) return true;
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return false;
}

/** The sorted list with further hashes (hex), each once. */
export function mergeHashes(hashes: Uint8Array, added: readonly string[]): Uint8Array {
  const fresh = [...new Set(added)].filter((hash) => !holdsHash(hashes, hash)).map((hash) => Buffer.from(hash, 'hex'));
  if (fresh.length === 0) return hashes;
  const known = Array.from({ length: hashes.length / hashBytes }, (_, index) =>
    hashes.subarray(index * hashBytes, (index + 1) * hashBytes),
  );
  return Buffer.concat([...known, ...fresh].toSorted((left, right) => Buffer.compare(left, right)));
}

function toSecret(name: string, namespace: string, data: Record<string, string>): SecretObject {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type: revokedType, data };
}
