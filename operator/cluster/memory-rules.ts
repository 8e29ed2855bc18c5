import { isDeepStrictEqual } from 'node:util';
import type { ClusterObject, ObjectMeta } from './cluster.ts';
import { ClusterError } from './cluster.ts';
import { kindOf, kinds } from './kinds.ts';
import { toTimestamp } from './timestamp.ts';

/** What an API server adds to an object that it stores. */
export interface Stamp {
  readonly uid: string;
  readonly resourceVersion: string;
  /** milliseconds since 1970 */
  readonly nowMs: number;
}

/** A frozen copy as the wire would give it: nothing undefined, nothing shared with the caller. */
export function toStored<T extends ClusterObject>(object: T): T {
  return freeze(JSON.parse(JSON.stringify(object)) as T);
}

/** The object as the API server stores it at its creation: a status that came along is ignored where status is a subresource. */
export function toCreated<T extends ClusterObject>(object: T, stamp: Stamp): T {
  const info = kinds[kindOf(object)];
  const { deletionTimestamp: _dropped, ...metadata } = object.metadata;
  return toStored({
    ...(info.hasStatus ? withoutStatus(object) : object),
    metadata: {
      ...metadata,
      uid: stamp.uid,
      resourceVersion: stamp.resourceVersion,
      creationTimestamp: toTimestamp(stamp.nowMs),
      generation: info.hasGeneration ? 1 : undefined,
    },
  } as T);
}

/**
 * The object after a PUT. The very same `before` when nothing changes (the API server then writes nothing either).
 * Throws ClusterError Invalid where the API server answers 422.
 */
export function toReplaced<T extends ClusterObject>(before: T, object: T, resourceVersion: string): T {
  const info = kinds[kindOf(before)];
  checkImmutable(before, object);
  const { uid, creationTimestamp, deletionTimestamp, generation } = before.metadata;
  const metadata = {
    ...object.metadata,
    uid,
    creationTimestamp,
    deletionTimestamp,
    generation,
    resourceVersion: before.metadata.resourceVersion,
  };
  const after = toStored({ ...(info.hasStatus ? { ...withoutStatus(object), status: statusOf(before) } : object), metadata } as T);
  if (isDeepStrictEqual(after, before)) return before;
  const bumped = info.hasGeneration && !isDeepStrictEqual(specOf(after), specOf(before));
  return stamped(after, { resourceVersion, ...(bumped ? { generation: (generation ?? 0) + 1 } : {}) });
}

/** The object with that status; `before` itself when it is the same. */
export function toStatusPatched<T extends ClusterObject>(before: T, status: unknown, resourceVersion: string): T {
  const after = toStored({ ...before, status });
  return isDeepStrictEqual(after, before) ? before : stamped(after, { resourceVersion });
}

/** The object that waits for the finalizers of others. */
export function toDeleting<T extends ClusterObject>(before: T, stamp: Omit<Stamp, 'uid'>): T {
  const generation = before.metadata.generation === undefined ? {} : { generation: before.metadata.generation + 1 };
  return stamped(before, { resourceVersion: stamp.resourceVersion, deletionTimestamp: toTimestamp(stamp.nowMs), ...generation });
}

export function toMetadataOnly<T extends ClusterObject>(object: T): T {
  return toStored({ apiVersion: object.apiVersion, kind: object.kind, metadata: object.metadata } as T);
}

export function statusOf(object: ClusterObject): unknown {
  return Reflect.get(object, 'status');
}

function checkImmutable(before: ClusterObject, after: ClusterObject): void {
  if (before.kind !== 'Secret') return;
  const typeOf = (secret: ClusterObject) => Reflect.get(secret, 'type') ?? 'Opaque';
  if (typeOf(before) !== typeOf(after)) throw new ClusterError('Invalid', 'the type of a Secret cannot be changed');
  const changed = !isDeepStrictEqual(Reflect.get(before, 'data'), Reflect.get(after, 'data'));
  if (Reflect.get(before, 'immutable') === true && changed) throw new ClusterError('Invalid', 'the Secret is immutable');
}

function stamped<T extends ClusterObject>(object: T, changes: Partial<ObjectMeta>): T {
  return toStored({ ...object, metadata: { ...object.metadata, ...changes } });
}

function withoutStatus(object: ClusterObject): ClusterObject {
  const { status: _dropped, ...rest } = object as ClusterObject & { status?: unknown };
  return rest;
}

function specOf(object: ClusterObject): unknown {
  const { metadata: _dropped, ...rest } = withoutStatus(object);
  return rest;
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const member of Object.values(value)) freeze(member);
  return Object.freeze(value);
}
