import { liesBefore } from '../runtime/resource-version.ts';
import type { ClusterObject, ReflectedEvent } from './cluster/cluster.ts';

/** How many versions that we have overwritten are remembered for each object: more than can be on their way at once. */
const rememberedVersions = 16;

const none: readonly string[] = [];

interface Kept<T> {
  readonly object: T;
  /** versions that our own writes have replaced: an event that still shows one comes late */
  readonly superseded: readonly string[];
}

/**
 * The objects of one reflector by `namespace/name`, ahead of it by our own writes: what we have written is known at once,
 * and an older state that the watch still delivers is passed over. What the watch delivers is compared for equality only.
 */
export class ReflectedStore<T extends ClusterObject> {
  readonly #kept = new Map<string, Kept<T>>();
  #synced = false;

  get synced(): boolean {
    return this.#synced;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#kept.get(keyOf(namespace, name))?.object;
  }

  *values(): Iterable<T> {
    for (const { object } of this.#kept.values()) yield object;
  }

  get size(): number {
    return this.#kept.size;
  }

  /** @returns whether something is new to us */
  take(event: ReflectedEvent<T>): boolean {
    if (event.type === 'Synced') {
      this.#synced = true;
      return true;
    }
    return event.type === 'Deleted' ? this.#takeDeleted(event) : this.#takeApplied(event.object);
  }

  #takeDeleted({ object: { metadata }, seen }: { readonly object: T; readonly seen: boolean }): boolean {
    const key = keyOf(metadata.namespace, metadata.name);
    const kept = this.#kept.get(key);
    // Made anew since: the event is of the former one.
    if (kept !== undefined && kept.object.metadata.uid !== metadata.uid) return false;
    return this.#kept.delete(key) || seen;
  }

  #takeApplied(object: T): boolean {
    const key = keyOf(object.metadata.namespace, object.metadata.name);
    const kept = this.#kept.get(key);
    const version = object.metadata.resourceVersion ?? '';
    if (kept?.object.metadata.resourceVersion === version) {
      // The watch has caught up with us: what it tells from now on is newer.
      if (kept.superseded.length > 0) this.#kept.set(key, { object: kept.object, superseded: none });
      return false;
    }
    if (kept?.superseded.includes(version) === true) return false;
    this.#kept.set(key, { object, superseded: kept?.superseded ?? none });
    return true;
  }

  /** What a write of ours or a read beside the watch has given. @returns whether it is what is known now: the watch may have told something newer */
  wrote(object: T): boolean {
    const key = keyOf(object.metadata.namespace, object.metadata.name);
    const kept = this.#kept.get(key);
    const former = kept?.object.metadata.resourceVersion;
    if (former === object.metadata.resourceVersion) return true;
    // The watch, on a connection of its own, was faster: it has shown our write and what somebody did after it. That would not be told again.
    if (former !== undefined && liesBefore(object.metadata.resourceVersion ?? '', former)) return false;
    const superseded = former === undefined ? none : [...(kept?.superseded ?? none), former].slice(-rememberedVersions);
    this.#kept.set(key, { object, superseded });
    return true;
  }

  forget(namespace: string | undefined, name: string): void {
    this.#kept.delete(keyOf(namespace, name));
  }
}

function keyOf(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`;
}
