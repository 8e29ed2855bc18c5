import { parseJson } from './json.ts';
import { tagOf } from './hash-tag.ts';
import { type HandledReset, type KeyUsage, mergeKeyUsage } from './key-usage.ts';
import { integer, list, map, object, oneOf, optional, readShape, text } from './shape.ts';
import { compareStreamIds, firstStreamId } from './usage-stream.ts';

/**
 * What the keys of one bucket have used, up to certain entries of the usage Streams: what the leader writes down, so that neither a new leader nor a Redis that has lost its
 * data makes anybody's spend forgotten. Operators of different versions read each other's.
 */
export interface UsageCheckpoint {
  readonly kind: 'usage';
  readonly schema: number;
  readonly minReader: number;
  readonly bucket: number;
  readonly buckets: number;
  /** milliseconds since 1970 */
  readonly writtenAt: number;
  /** tag → the last entry of its Stream that is counted in here; entries up to it must not be counted again */
  readonly through: Readonly<Record<string, string>>;
  readonly keys: readonly KeyUsage[];
}

/** The version that this code writes, and the newest `minReader` that it can read. */
export const usageSchema = 1;

export const usageSecretType = 'keywright.dev/usage';
/** The entry of a usage Secret that holds the gzipped JSON document. */
export const usageEntry = 'document';
export const usageBuckets = 64;

/** `keywright-usage-00` to `keywright-usage-3f`. */
export function usageSecretName(bucket: number): string {
  return `keywright-usage-${bucket.toString(16).padStart(2, '0')}`;
}

const amounts = map(integer());
const checkpointReader = object<UsageCheckpoint>({
  kind: oneOf('usage'),
  schema: integer(1),
  minReader: integer(1),
  bucket: integer(),
  buckets: integer(1),
  writtenAt: integer(),
  through: map(text(/^\d{1,20}-\d{1,20}$/, 'the id of an entry')),
  keys: list(
    object<KeyUsage>({
      id: text(/^[^/]+\/[^/]+$/, 'namespace/name'),
      requests: integer(),
      errors: integer(),
      inputTokens: integer(),
      cachedInputTokens: integer(),
      outputTokens: integer(),
      costNanoUsd: integer(),
      lastUsedMs: integer(),
      spent: amounts,
      warned: amounts,
      reset: optional(object<HandledReset>({ asked: text(), atMs: integer() })),
    }),
  ),
});
const newness = object<{ minReader: number }>({ minReader: integer(1) });

export type ParsedUsageCheckpoint =
  | { readonly ok: true; readonly checkpoint: UsageCheckpoint }
  /** newer: written for readers that know more than this one; it must not be written over */
  | { readonly ok: false; readonly reason: 'invalid' | 'newer'; readonly message: string };

/** Strict: a wrong type or a missing field refuses the whole document. Unknown fields are let be. */
export function parseUsageCheckpoint(json: string): ParsedUsageCheckpoint {
  const value = parseJson(json);
  const version = readShape(newness, value);
  if (version.ok && version.value.minReader > usageSchema)
    return { ok: false, reason: 'newer', message: `needs a reader of version ${version.value.minReader}, this one is ${usageSchema}` };
  const read = readShape(checkpointReader, value);
  return read.ok ? { ok: true, checkpoint: read.value } : { ok: false, reason: 'invalid', message: read.message };
}

/** The same text for the same content, but for the order in which windows were first seen. */
export function formatUsageCheckpoint(checkpoint: UsageCheckpoint): string {
  const keys = checkpoint.keys.toSorted((left, right) => (left.id < right.id ? -1 : 1));
  const through = Object.fromEntries(Object.entries(checkpoint.through).toSorted(([left], [right]) => (left < right ? -1 : 1)));
  return JSON.stringify({ ...checkpoint, through, keys });
}

/**
 * Two checkpoints of one bucket, of which neither writer knew the other: each key as who has come further in its Stream has it. All entries of a key are in one Stream, so for
 * each key one of the two accounts contains the other.
 */
export function mergeUsageCheckpoints(ours: UsageCheckpoint, theirs: UsageCheckpoint): UsageCheckpoint {
  const keys = new Map(ours.keys.map((usage) => [usage.id, usage]));
  for (const usage of theirs.keys) {
    const known = keys.get(usage.id);
    if (known === undefined) keys.set(usage.id, usage);
    else keys.set(usage.id, isFurther(theirs, ours, usage.id) ? mergeKeyUsage(usage, known) : mergeKeyUsage(known, usage));
  }
  const tags = new Set([...Object.keys(ours.through), ...Object.keys(theirs.through)]);
  const through = Object.fromEntries([...tags].map((tag) => [tag, toLatest(ours.through[tag], theirs.through[tag])]));
  return { ...ours, writtenAt: Math.max(ours.writtenAt, theirs.writtenAt), through, keys: [...keys.values()] };
}

function isFurther(left: UsageCheckpoint, right: UsageCheckpoint, keyId: string): boolean {
  const tag = tagOf(keyId);
  return compareStreamIds(left.through[tag] ?? firstStreamId, right.through[tag] ?? firstStreamId) > 0;
}

function toLatest(left: string = firstStreamId, right: string = firstStreamId): string {
  return compareStreamIds(left, right) >= 0 ? left : right;
}
