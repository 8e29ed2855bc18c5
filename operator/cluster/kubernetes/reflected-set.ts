import { isNewerVersion } from '../../../runtime/resource-version.ts';
import type { ClusterObject, ReflectedEvent } from '../cluster.ts';

/** What of an object has to be kept to judge the next news of it. The object itself is whoever's it was told to: kept here as well, it would be in memory twice. */
interface Known {
  readonly uid: string | undefined;
  readonly version: string;
}

/**
 * The versions as last told, and the difference that each news makes: no event for a version that is already known.
 * Events of a watch are taken by version, since a repeated or late one must not bring back what is past (resource versions grow and may be
 * compared as integers: KEP-5504). Those of a list are taken as they are: after a restore of etcd all versions are smaller.
 */
export class ReflectedSet<T extends ClusterObject> {
  readonly #known = new Map<string, Known>();
  /** what all of them are */
  #type: Pick<ClusterObject, 'apiVersion' | 'kind'> | undefined;
  /** versions at which objects were deleted, for late events; forgotten with the next list */
  readonly #deleted = new Map<string, string>();

  keyOf(object: ClusterObject): string {
    return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
  }

  listed(object: T): ReflectedEvent<T> | undefined {
    const key = this.keyOf(object);
    const known = this.#known.get(key);
    if (known !== undefined && known.version === versionOf(object) && known.uid === object.metadata.uid) return undefined;
    this.#note(key, object);
    return { type: 'Applied', object };
  }

  /** Known from elsewhere: no event, but its end is one. */
  keep(object: T): void {
    const key = this.keyOf(object);
    if (!this.#known.has(key)) this.#note(key, object);
  }

  changed(object: T): ReflectedEvent<T> | undefined {
    const key = this.keyOf(object);
    const known = this.#known.get(key);
    if (known !== undefined && !isNewerVersion(versionOf(object), known.version)) return undefined;
    const deletedAt = this.#deleted.get(key);
    if (deletedAt !== undefined && !isNewerVersion(versionOf(object), deletedAt)) return undefined;
    this.#note(key, object);
    return { type: 'Applied', object };
  }

  deleted(object: T): ReflectedEvent<T> | undefined {
    const key = this.keyOf(object);
    const known = this.#known.get(key);
    // A deletion carries a version of its own, above all versions of the object that it ends.
    if (known !== undefined && !isNewerVersion(versionOf(object), known.version)) return undefined;
    const deletedAt = this.#deleted.get(key);
    if (deletedAt !== undefined && !isNewerVersion(versionOf(object), deletedAt)) return undefined;
    this.#deleted.set(key, versionOf(object));
    // Also of one that is not known here: a list may have lacked it, and whoever has asked for it must learn of its end.
    this.#known.delete(key);
    return { type: 'Deleted', object, seen: true };
  }

  /** What a complete list no longer has: of these objects no more than their identity is known. */
  retain(keys: ReadonlySet<string>): ReflectedEvent<T>[] {
    this.#deleted.clear();
    const gone = [...this.#known].filter(([key]) => !keys.has(key));
    return gone.map(([key, known]) => {
      this.#known.delete(key);
      return { type: 'Deleted', object: this.#toIdentity(key, known), seen: false };
    });
  }

  #note(key: string, object: T): void {
    this.#type ??= { apiVersion: object.apiVersion, kind: object.kind };
    this.#known.set(key, { uid: object.metadata.uid, version: versionOf(object) });
  }

  #toIdentity(key: string, { uid, version }: Known): T {
    const slash = key.indexOf('/');
    const namespace = key.slice(0, slash);
    const metadata = {
      name: key.slice(slash + 1),
      ...(namespace === '' ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      resourceVersion: version,
    };
    return { ...this.#type, metadata } as T;
  }
}

function versionOf(object: ClusterObject): string {
  return object.metadata.resourceVersion ?? '';
}
