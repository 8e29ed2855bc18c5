import type { SealKeys, SealName, SealPlace } from '../../runtime/seal.ts';
import { sealOf } from '../../runtime/seal.ts';
import type { SealSource } from '../../runtime/seal-file.ts';
import type {
  Cluster,
  ClusterEvent,
  ClusterObject,
  ReflectedEvent,
  Reflector,
  ReflectOptions,
  Reference,
  SecretObject,
  WriteOutcome,
} from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/cluster.ts';

export interface SealedClusterOptions {
  readonly cluster: Cluster;
  readonly seal: SealSource;
  /** of our own Secrets: those of the type `keywright.dev/…` in them are sealed */
  readonly namespaces: readonly string[];
  /** a Secret cannot be opened with the keys at hand, where until now all could */
  readonly onLocked: () => void;
}

/** One subscription, with what it has been told and could not open. */
interface Reflection {
  readonly locked: Map<string, SecretObject>;
  take(event: ReflectedEvent<ClusterObject>): void;
}

/**
 * The cluster in which our own Secrets are sealed when written and open when read, so that nobody above knows of it. What cannot be opened for want of a key is told to nobody:
 * it is neither damaged nor missing, and whoever took it for that would write over it. What was changed or moved is handed on as it is, and its reader finds it damaged.
 */
export class SealedCluster implements Cluster {
  readonly #options: SealedClusterOptions;
  readonly #namespaces: ReadonlySet<string>;
  readonly #reflections = new Set<Reflection>();
  /** `namespace/name` of each Secret that cannot be opened → why */
  readonly #locked = new Map<string, string>();
  /** by what each Secret that was seen is sealed */
  readonly #seals = new Map<string, SealName>();
  #onStale: (name: string) => void = () => undefined;

  constructor(options: SealedClusterOptions) {
    this.#options = options;
    this.#namespaces = new Set(options.namespaces);
    options.seal.onChange(() => this.#rekeyed());
  }

  /** Why it must not be led by this process; undefined: it may be. Names Secrets and keys by their ids, never values. */
  trouble(): string | undefined {
    const [first] = this.#locked;
    if (first === undefined) return undefined;
    const [name, why] = first;
    const others = this.#locked.size === 1 ? '' : `, as ${this.#locked.size - 1} more`;
    return `Secret ${name} cannot be opened${others}: ${why}`;
  }

  /** `namespace/name` of the Secrets that are known to be sealed otherwise than new ones are; `listener` is called with those that come to it. */
  stale(listener: (name: string) => void): readonly string[] {
    this.#onStale = listener;
    return this.#staleNames();
  }

  get staleCount(): number {
    return this.#staleNames().length;
  }

  get lockedCount(): number {
    return this.#locked.size;
  }

  /** Writes a Secret anew if it is sealed otherwise than new ones are; its content stays. Throws a ClusterError when somebody else was faster. */
  async reseal(name: string): Promise<void> {
    const { cluster } = this.#options;
    const [namespace = '', secretName = ''] = name.split('/');
    const stored = await cluster.get<SecretObject>({ kind: 'Secret', namespace, name: secretName });
    if (stored === undefined || !this.#isSealable(stored)) return this.#forget(name);
    this.#note(stored);
    if (this.#seals.get(name) === this.#keys.current || this.#seals.get(name) === undefined) return;
    const opened = this.#open(stored);
    if (opened === undefined) return;
    const outcome = await this.replace(opened);
    if (outcome.outcome === 'conflict') throw new ClusterError('Unavailable', `Secret ${name} was written by somebody else`);
  }

  reflect<T extends ClusterObject>(options: ReflectOptions<T>): Reflector {
    const { cluster } = this.#options;
    if (options.kind !== 'Secret') return cluster.reflect(options);
    const reflection = this.#makeReflection(options.onEvent as (event: ReflectedEvent<ClusterObject>) => void);
    this.#reflections.add(reflection);
    const reflector = cluster.reflect<T>({ ...options, onEvent: (event) => reflection.take(event) });
    return {
      keep: (object) => reflector.keep(object),
      stop: () => {
        this.#reflections.delete(reflection);
        return reflector.stop();
      },
    };
  }

  async get<T extends ClusterObject>(reference: Reference): Promise<T | undefined> {
    const object = await this.#options.cluster.get<T>(reference);
    return object === undefined ? undefined : this.#openOrThrow(object);
  }

  async list<T extends ClusterObject>(options: Omit<ReflectOptions<T>, 'onEvent'>): Promise<T[]> {
    const objects = await this.#options.cluster.list<T>(options);
    return options.kind === 'Secret' && options.metadataOnly !== true ? objects.map((object) => this.#openOrThrow(object)) : objects;
  }

  listEach<T extends ClusterObject>(options: Omit<ReflectOptions<T>, 'onEvent'>, take: (object: T) => void): Promise<void> {
    const isOpened = options.kind === 'Secret' && options.metadataOnly !== true;
    return this.#options.cluster.listEach<T>(options, isOpened ? (object) => take(this.#openOrThrow(object)) : take);
  }

  create<T extends ClusterObject>(object: T): Promise<WriteOutcome<T>> {
    return this.#write(object, (sealed) => this.#options.cluster.create(sealed));
  }

  replace<T extends ClusterObject>(object: T): Promise<WriteOutcome<T>> {
    return this.#write(object, (sealed) => this.#options.cluster.replace(sealed));
  }

  patchStatus<T extends ClusterObject>(object: T, status: unknown): Promise<WriteOutcome<T>> {
    return this.#options.cluster.patchStatus(object, status);
  }

  async remove(reference: Reference, precondition?: { readonly resourceVersion: string }): Promise<void> {
    await this.#options.cluster.remove(reference, precondition);
    if (reference.kind === 'Secret') this.#forget(`${reference.namespace ?? ''}/${reference.name}`);
  }

  recordEvent(event: ClusterEvent): void {
    this.#options.cluster.recordEvent(event);
  }

  close(): Promise<void> {
    return this.#options.cluster.close();
  }

  get #keys(): SealKeys {
    return this.#options.seal.keys;
  }

  #isSealable(object: ClusterObject): object is SecretObject {
    const { kind, metadata, type } = object as SecretObject;
    return kind === 'Secret' && type?.startsWith('keywright.dev/') === true && this.#namespaces.has(metadata.namespace ?? '');
  }

  #makeReflection(onEvent: (event: ReflectedEvent<ClusterObject>) => void): Reflection {
    const locked = new Map<string, SecretObject>();
    return {
      locked,
      take: (event) => {
        if (event.type === 'Synced') return onEvent(event);
        const name = nameOf(event.object);
        locked.delete(name);
        if (event.type === 'Deleted') {
          if (this.#namespaces.has(event.object.metadata.namespace ?? '')) this.#forget(name);
          return onEvent(event);
        }
        const object = this.#isSealable(event.object) ? this.#open(event.object) : event.object;
        if (object === undefined) locked.set(name, event.object);
        else onEvent({ type: 'Applied', object });
      },
    };
  }

  #openOrThrow<T extends ClusterObject>(object: T): T {
    if (!this.#isSealable(object)) return object;
    const opened = this.#open(object);
    if (opened === undefined) throw new ClusterError('Unavailable', this.trouble() ?? `Secret ${nameOf(object)} cannot be opened`);
    return opened as T;
  }

  /** The Secret with its values open; undefined: they stay locked. */
  #open(secret: SecretObject): SecretObject | undefined {
    const name = nameOf(secret);
    this.#note(secret);
    let data: Record<string, string> | undefined;
    for (const [entry, value] of Object.entries(secret.data ?? {})) {
      const bytes = Buffer.from(value, 'base64');
      const opened = this.#keys.open(bytes, toPlace(secret, entry));
      if (!opened.ok && opened.reason === 'locked') {
        this.#lock(name, opened.message);
        return undefined;
      }
      if (opened.ok && opened.bytes !== bytes) data = { ...data, [entry]: Buffer.from(opened.bytes).toString('base64') };
    }
    this.#locked.delete(name);
    return data === undefined ? secret : { ...secret, data: { ...secret.data, ...data } };
  }

  async #write<T extends ClusterObject>(object: T, write: (sealed: T) => Promise<WriteOutcome<T>>): Promise<WriteOutcome<T>> {
    if (!this.#isSealable(object)) return write(object);
    const { data } = object as SecretObject;
    const sealed: SecretObject = { ...object, data: this.#seal(object) };
    const outcome = await write(sealed as T);
    if (outcome.outcome !== 'written') return outcome;
    this.#note(sealed);
    return { outcome: 'written', object: { ...outcome.object, data } };
  }

  #seal(secret: SecretObject): Record<string, string> {
    return Object.fromEntries(
      Object.entries(secret.data ?? {}).map(([entry, value]) => {
        const sealed = this.#keys.seal(Buffer.from(value, 'base64'), toPlace(secret, entry));
        return [entry, Buffer.from(sealed).toString('base64')];
      }),
    );
  }

  /** Remembers by what it is sealed. Without keys there is nothing to be sealed anew, so nothing is remembered. */
  #note(secret: SecretObject): void {
    if (!this.#keys.hasKeys || secret.data === undefined) return;
    const name = nameOf(secret);
    const seals = new Set(Object.values(secret.data).map((value) => sealOf(Buffer.from(value.slice(0, 16), 'base64'))));
    const [seal] = seals;
    if (seal === undefined) return;
    this.#seals.set(name, seals.size === 1 ? seal : 'mixed');
    if (this.#seals.get(name) !== this.#keys.current) this.#onStale(name);
  }

  #lock(name: string, why: string): void {
    const isFirst = this.#locked.size === 0;
    this.#locked.set(name, why);
    if (isFirst) this.#options.onLocked();
  }

  #forget(name: string): void {
    this.#locked.delete(name);
    this.#seals.delete(name);
  }

  #staleNames(): string[] {
    const { current } = this.#keys;
    return [...this.#seals].flatMap(([name, seal]) => (seal === current ? [] : [name]));
  }

  /** What was locked is tried again; what is not sealed as new ones are is stale now. What only a read had met is met again by the next one. */
  #rekeyed(): void {
    this.#locked.clear();
    const again = [...this.#reflections].flatMap(({ locked, take }) =>
      [...locked.values()].map((object) => () => take({ type: 'Applied', object })),
    );
    for (const take of again) take();
    for (const name of this.#staleNames()) this.#onStale(name);
  }
}

function nameOf({ metadata }: ClusterObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

function toPlace({ type = '', metadata }: SecretObject, entry: string): SealPlace {
  return { type, namespace: metadata.namespace ?? '', name: metadata.name, entry };
}
