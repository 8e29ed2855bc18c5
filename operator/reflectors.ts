import type { Cluster, ClusterObject, Kind, ReflectedEvent, Reflector, ReflectOptions } from './cluster/cluster.ts';

/** The reflectors of a process, and which of their lists are still waited for. */
export class Reflectors {
  readonly #cluster: Pick<Cluster, 'reflect'>;
  readonly #namespaces: readonly string[];
  readonly #reflectors: { readonly kind: Kind; readonly namespace: string | undefined; readonly reflector: Reflector }[] = [];
  readonly #waiting = new Set<string>();
  #onSynced: (() => void)[] = [];

  /** @param namespaces those that are watched; empty = all */
  constructor(cluster: Pick<Cluster, 'reflect'>, namespaces: readonly string[]) {
    this.#cluster = cluster;
    this.#namespaces = namespaces;
  }

  /** @param name what it lists, for people who wait for it */
  add<T extends ClusterObject>(name: string, options: ReflectOptions<T>): void {
    this.#waiting.add(name);
    const onEvent = (event: ReflectedEvent<T>): void => {
      options.onEvent(event);
      if (event.type !== 'Synced' || !this.#waiting.delete(name) || this.#waiting.size > 0) return;
      for (const resolve of this.#onSynced.splice(0)) resolve();
    };
    const { kind, namespace } = options;
    this.#reflectors.push({ kind, namespace, reflector: this.#cluster.reflect<T>({ ...options, onEvent }) });
  }

  /** In every namespace that is watched: one reflector for all of them, or one for each. */
  addEverywhere<T extends ClusterObject>(name: string, options: Omit<ReflectOptions<T>, 'namespace'>): void {
    if (this.#namespaces.length === 0) this.add<T>(name, options);
    for (const namespace of this.#namespaces) this.add<T>(`${name} of ${namespace}`, { ...options, namespace });
  }

  /** What has not been listed yet. */
  waiting(): readonly string[] {
    return [...this.#waiting];
  }

  whenSynced(): Promise<void> {
    return this.#waiting.size === 0 ? Promise.resolve() : new Promise((resolve) => void this.#onSynced.push(resolve));
  }

  /** An object that a list lacked and that is there all the same. */
  keep(object: ClusterObject): void {
    for (const { kind, namespace, reflector } of this.#reflectors)
      if (kind === object.kind && (namespace === undefined || namespace === object.metadata.namespace)) reflector.keep(object);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#reflectors.map(({ reflector }) => reflector.stop()));
  }
}
