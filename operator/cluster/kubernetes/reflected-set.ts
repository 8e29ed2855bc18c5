import { isNewerVersion } from '../../../runtime/resource-version.ts';
import type { ClusterObject, ReflectedEvent } from '../cluster.ts';

/**
 * The objects as last told, and the difference that each news makes: no event for a version that is already known.
 * Events of a watch are taken by version, since a repeated or late one must not bring back what is past (resource versions grow and may be
 * compared as integers: KEP-5504). Those of a list are taken as they are: after a restore of etcd all versions are smaller.
 */
export class ReflectedSet<T extends ClusterObject> {
  readonly #objects = new Map<string, T>();
  /** versions at which objects were deleted, for late events; forgotten with the next list */
  readonly #deleted = new Map<string, string>();

  keyOf(object: ClusterObject): string {
    return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
  }

  listed(object: T): ReflectedEvent<T> | undefined {
    const key = this.keyOf(object);
    const known = this.#objects.get(key);
    if (known !== undefined && versionOf(known) === versionOf(object) && known.metadata.uid === object.metadata.uid) return undefined;
    this.#objects.set(key, object);
    return { type: 'Applied', object };
  }

  /** Known from elsewhere: no event, but its end is one. */
  keep(object: T): void {
    const key = this.keyOf(object);
    if (!this.#objects.has(key)) this.#objects.set(key, object);
  }

  changed(object: T): ReflectedEvent<T> | undefined {
    const key = this.keyOf(object);
    const known = this.#objects.get(key);
    if (known !== undefined && !isNewerVersion(versionOf(object), versionOf(known))) return undefined;
    const deletedAt = this.#deleted.get(key);
    if (deletedAt !== undefined && !isNewerVersion(versionOf(object), deletedAt)) return undefined;
    this.#objects.set(key, object);
    return { type: 'Applied', object };
  }

  deleted(object: T): ReflectedEvent<T> | undefined {
    const key = this.keyOf(object);
    const known = this.#objects.get(key);
    // A deletion carries a version of its own, above all versions of the object that it ends.
    if (known !== undefined && !isNewerVersion(versionOf(object), versionOf(known))) return undefined;
    const deletedAt = this.#deleted.get(key);
    if (deletedAt !== undefined && !isNewerVersion(versionOf(object), deletedAt)) return undefined;
    this.#deleted.set(key, versionOf(object));
    // Also of one that is not known here: a list may have lacked it, and whoever has asked for it must learn of its end.
    this.#objects.delete(key);
    return { type: 'Deleted', object, seen: true };
  }

  /** What a complete list no longer has. */
  retain(keys: ReadonlySet<string>): ReflectedEvent<T>[] {
    this.#deleted.clear();
    const gone = [...this.#objects].filter(([key]) => !keys.has(key));
    return gone.map(([key, object]) => {
      this.#objects.delete(key);
      return { type: 'Deleted', object, seen: false };
    });
  }
}

function versionOf(object: ClusterObject): string {
  return object.metadata.resourceVersion ?? '';
}
