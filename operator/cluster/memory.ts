import { randomUUID } from 'node:crypto';
import type { Cluster, ClusterEvent, ClusterObject, Kind, Reference, ReflectOptions, WriteOutcome } from './cluster.ts';
import { kindOf, kinds } from './kinds.ts';
import { statusOf, toCreated, toDeleting, toMetadataOnly, toReplaced, toStatusPatched, toStored } from './memory-rules.ts';
import type { Watcher } from './memory-watch.ts';
import { makeWatcher, toMatcher } from './memory-watch.ts';
import { applyMergePatch, toMergePatch } from './merge-patch.ts';

export type MemoryVerb = 'get' | 'list' | 'create' | 'replace' | 'patchStatus' | 'remove';

export type MemoryChange =
  | { readonly type: 'Applied'; readonly object: ClusterObject }
  | { readonly type: 'Deleted'; readonly object: ClusterObject };

export interface MemoryClusterOptions {
  /** milliseconds since 1970 */
  readonly now: () => number;
  readonly uid?: () => string;
  /** objects as a former run had them (uid, generation, resourceVersion, status and all) */
  readonly initial?: readonly ClusterObject[];
  /** called before a change holds; the write is answered when it has resolved, and fails with what it rejects with */
  readonly onChange?: (change: MemoryChange) => void | Promise<void>;
  /** an error to throw instead of the call; of a list the name is empty */
  readonly fault?: (verb: MemoryVerb, reference: Reference) => Error | undefined;
  /** objects go when all their owners have gone; default true */
  readonly collectGarbage?: boolean;
  readonly onRecordedEvent?: (event: ClusterEvent) => void;
  /** a reflector's handler threw; default: thrown on as an uncaught exception, so that a test sees it */
  readonly onHandlerError?: (error: unknown) => void;
}

export interface MemoryCluster extends Cluster {
  /** what a user's `kubectl apply` does: creates, or sets everything but the status */
  apply<T extends ClusterObject>(object: T): Promise<T>;
  /** what `kubectl delete` does; false: it was not there. An object with finalizers stays with a deletionTimestamp. */
  delete(reference: Reference): Promise<boolean>;
  /** all objects in the order of kind, namespace, name */
  objects(): readonly ClusterObject[];
  /** the last 1,000 recorded Events */
  events(): readonly ClusterEvent[];
}

const keptEvents = 1_000;

/** A cluster in memory that answers as an API server does: for standalone and for tests. Objects it gives are frozen. */
export function makeMemoryCluster(options: MemoryClusterOptions): MemoryCluster {
  return new ObjectStore(options);
}

class ObjectStore implements MemoryCluster {
  readonly #options: MemoryClusterOptions;
  readonly #objects = new Map<string, ClusterObject>();
  readonly #watchers = new Set<Watcher>();
  readonly #events: ClusterEvent[] = [];
  #revision = 0;
  /** writes are taken one after the other, since a change holds only when `onChange` has taken it */
  #lastWrite: Promise<unknown> = Promise.resolve();

  constructor(options: MemoryClusterOptions) {
    this.#options = options;
    for (const object of options.initial ?? []) {
      this.#objects.set(keyOf(toReference(object)), toStored(object));
      this.#revision = Math.max(this.#revision, Number(object.metadata.resourceVersion ?? 0));
    }
  }

  reflect<T extends ClusterObject>(reflect: ReflectOptions<T>): Watcher {
    const watcher = makeWatcher({
      reflect: reflect as unknown as ReflectOptions<ClusterObject>,
      existing: this.objects(),
      onHandlerError: this.#options.onHandlerError ?? throwLater,
      onStop: (stopped) => this.#watchers.delete(stopped),
    });
    this.#watchers.add(watcher);
    return watcher;
  }

  async get<T extends ClusterObject>(reference: Reference): Promise<T | undefined> {
    this.#fail('get', reference);
    return this.#objects.get(keyOf(reference)) as T | undefined;
  }

  async list<T extends ClusterObject>(selection: Omit<ReflectOptions<T>, 'onEvent'>): Promise<T[]> {
    this.#fail('list', {
      kind: selection.kind,
      name: '',
      ...(selection.namespace === undefined ? {} : { namespace: selection.namespace }),
    });
    const found = this.objects().filter(toMatcher(selection)) as T[];
    return selection.metadataOnly === true ? found.map(toMetadataOnly) : found;
  }

  async listEach<T extends ClusterObject>(selection: Omit<ReflectOptions<T>, 'onEvent'>, take: (object: T) => void): Promise<void> {
    for (const object of await this.list(selection)) take(object);
  }

  create<T extends ClusterObject>(object: T): Promise<WriteOutcome<T>> {
    return this.#write('create', object, async (before) => {
      if (before !== undefined) return { outcome: 'exists' };
      return { outcome: 'written', object: await this.#create(object) };
    });
  }

  replace<T extends ClusterObject>(object: T): Promise<WriteOutcome<T>> {
    requireResourceVersion(object);
    return this.#write('replace', object, async (before) => {
      if (before === undefined) return { outcome: 'gone' };
      if (!isSameVersion(before, object)) return { outcome: 'conflict' };
      return { outcome: 'written', object: await this.#update(before, toReplaced(before, object, this.#nextRevision())) };
    });
  }

  patchStatus<T extends ClusterObject>(object: T, status: unknown): Promise<WriteOutcome<T>> {
    requireResourceVersion(object);
    return this.#write('patchStatus', object, async (before) => {
      const patch = toMergePatch(statusOf(object), status);
      if (patch === undefined) return { outcome: 'written', object };
      if (before === undefined) return { outcome: 'gone' };
      if (!isSameVersion(before, object)) return { outcome: 'conflict' };
      const patched = toStatusPatched(before, applyMergePatch(statusOf(before), patch), this.#nextRevision());
      return { outcome: 'written', object: await this.#update(before, patched) };
    });
  }

  async remove(reference: Reference, precondition?: { readonly resourceVersion: string }): Promise<void> {
    this.#fail('remove', reference);
    const found = this.#objects.get(keyOf(reference));
    if (precondition !== undefined && found?.metadata.resourceVersion !== precondition.resourceVersion) return;
    await this.delete(reference);
  }

  recordEvent(event: ClusterEvent): void {
    this.#events.push(event);
    if (this.#events.length > keptEvents) this.#events.shift();
    this.#options.onRecordedEvent?.(event);
  }

  async close(): Promise<void> {
    await this.#lastWrite;
    for (const watcher of this.#watchers) await watcher.stop();
  }

  apply<T extends ClusterObject>(object: T): Promise<T> {
    return this.#inTurn(async () => {
      const before = this.#objects.get(keyOf(toReference(object))) as T | undefined;
      if (before === undefined) return this.#create(object);
      return this.#update(before, toReplaced(before, object, this.#nextRevision()));
    });
  }

  delete(reference: Reference): Promise<boolean> {
    return this.#inTurn(async () => {
      const before = this.#objects.get(keyOf(reference));
      if (before === undefined) return false;
      if ((before.metadata.finalizers ?? []).length === 0) await this.#remove(before);
      else if (before.metadata.deletionTimestamp === undefined) {
        await this.#update(before, toDeleting(before, { resourceVersion: this.#nextRevision(), nowMs: this.#options.now() }));
      }
      return true;
    });
  }

  objects(): readonly ClusterObject[] {
    return [...this.#objects.entries()].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, object]) => object);
  }

  events(): readonly ClusterEvent[] {
    return [...this.#events];
  }

  #write<T extends ClusterObject>(
    verb: MemoryVerb,
    object: T,
    write: (before: T | undefined) => Promise<WriteOutcome<T>>,
  ): Promise<WriteOutcome<T>> {
    const reference = toReference(object);
    return this.#inTurn(() => {
      this.#fail(verb, reference);
      return write(this.#objects.get(keyOf(reference)) as T | undefined);
    });
  }

  async #create<T extends ClusterObject>(object: T): Promise<T> {
    const uid = (this.#options.uid ?? randomUUID)();
    const created = toCreated(object, { uid, resourceVersion: this.#nextRevision(), nowMs: this.#options.now() });
    return this.#commit(undefined, created);
  }

  async #update<T extends ClusterObject>(before: T, after: T): Promise<T> {
    if (after === before) return before;
    const finished = after.metadata.deletionTimestamp !== undefined && (after.metadata.finalizers ?? []).length === 0;
    if (!finished) return this.#commit(before, after);
    await this.#remove(before);
    return after;
  }

  async #commit<T extends ClusterObject>(before: T | undefined, after: T): Promise<T> {
    await this.#options.onChange?.({ type: 'Applied', object: after });
    this.#objects.set(keyOf(toReference(after)), after);
    for (const watcher of this.#watchers) watcher.changed(before, after);
    return after;
  }

  async #remove(before: ClusterObject): Promise<void> {
    await this.#options.onChange?.({ type: 'Deleted', object: before });
    this.#objects.delete(keyOf(toReference(before)));
    for (const watcher of this.#watchers) watcher.changed(before, undefined);
    if (this.#options.collectGarbage !== false) this.#collect(before.metadata.uid);
  }

  /** As the garbage collector does: later, and only what has no owner left. */
  #collect(uid: string | undefined): void {
    for (const object of this.#objects.values()) {
      const owners = object.metadata.ownerReferences ?? [];
      if (uid === undefined || !owners.some((owner) => owner.uid === uid)) continue;
      if (owners.some((owner) => this.#hasUid(owner.uid))) continue;
      void this.delete(toReference(object)).catch(this.#options.onHandlerError ?? throwLater);
    }
  }

  #hasUid(uid: string): boolean {
    return [...this.#objects.values()].some((object) => object.metadata.uid === uid);
  }

  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#lastWrite.then(work);
    this.#lastWrite = result.catch(() => undefined);
    return result;
  }

  #fail(verb: MemoryVerb, reference: Reference): void {
    const error = this.#options.fault?.(verb, reference);
    if (error !== undefined) throw error;
  }

  #nextRevision(): string {
    this.#revision += 1;
    return String(this.#revision);
  }
}

function toReference(object: ClusterObject): Reference {
  const kind: Kind = kindOf(object);
  const { name, namespace } = object.metadata;
  return namespace === undefined ? { kind, name } : { kind, name, namespace };
}

/** NUL sorts before every character of a name, so that the order is by namespace and then by name. */
function keyOf(reference: Reference): string {
  const namespace = kinds[reference.kind].namespaced ? (reference.namespace ?? '') : '';
  return `${reference.kind}\0${namespace}\0${reference.name}`;
}

function isSameVersion(before: ClusterObject, object: ClusterObject): boolean {
  const { uid, resourceVersion } = object.metadata;
  return resourceVersion === before.metadata.resourceVersion && (uid === undefined || uid === before.metadata.uid);
}

function requireResourceVersion(object: ClusterObject): void {
  if (object.metadata.resourceVersion === undefined) throw new TypeError('a write needs metadata.resourceVersion of what was read');
}

function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
