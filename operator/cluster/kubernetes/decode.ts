import type { ClusterObject, Kind } from '../cluster.ts';
import { kinds } from '../kinds.ts';
import { fieldOf } from './answer.ts';
import { internTexts } from './intern.ts';

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * An object of an answer. The field sets of `managedFields` (half of a small object, and read by nobody here) are left out; the managers stay,
 * but of Secrets: there nobody asks who wrote them, and of what is kept of a Secret they would be the larger half. Undefined for what is no object.
 */
export function parseObject<T extends ClusterObject>(value: unknown, kind: Kind): T | undefined {
  const metadata = fieldOf(value, 'metadata');
  if (typeof fieldOf(metadata, 'name') !== 'string') return undefined;
  const { managedFields, ...rest } = metadata as Record<string, unknown>;
  const managers = Array.isArray(managedFields) && kind !== 'Secret' ? { managedFields: managedFields.map(withoutFieldSet) } : {};
  for (const part of [managers.managedFields, rest['ownerReferences'], rest['labels']]) internTexts(part);
  for (const part of ['spec', 'status']) internTexts(fieldOf(value, part));
  // Items of a LIST have no kind, and metadata-only ones are PartialObjectMetadata: the caller asked for a Secret and gets one.
  return {
    ...(value as object),
    apiVersion: kinds[kind].apiVersion,
    kind,
    metadata: { ...rest, ...managers },
  } as unknown as T;
}

/**
 * An object as a reflector keeps it: also without kubectl's copy of the manifest, which doubles each object and of a Secret holds the values
 * that a metadata-only watch is there to leave behind.
 */
export function parseReflected<T extends ClusterObject>(value: unknown, kind: Kind): T | undefined {
  const object = parseObject<T>(value, kind);
  if (object?.metadata.annotations?.[lastApplied] === undefined) return object;
  const { [lastApplied]: _dropped, ...annotations } = object.metadata.annotations;
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** The object as it is sent: managers without their field sets would be refused, absent ones are kept by the server. */
export function toSent(object: ClusterObject): ClusterObject {
  const { managedFields: _dropped, ...metadata } = object.metadata as ClusterObject['metadata'] & { managedFields?: unknown };
  return { ...object, metadata };
}

function withoutFieldSet(entry: unknown): unknown {
  if (typeof entry !== 'object' || entry === null) return entry;
  const { fieldsV1: _dropped, ...rest } = entry as Record<string, unknown>;
  return rest;
}
