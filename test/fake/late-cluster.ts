import type { VirtualKey } from '../../core/resources.ts';
import type { Cluster, ReflectedEvent, ReflectOptions } from '../../operator/cluster/cluster.ts';

/** A cluster whose watch of VirtualKeys lags behind, or says what is not so, when told to. */
export interface LateCluster {
  readonly cluster: Cluster;
  /** events wait until `release` */
  hold(): void;
  release(): void;
  /** an event that the watch makes up */
  inject(event: ReflectedEvent<VirtualKey>): void;
}

export function makeLateCluster(real: Cluster): LateCluster {
  const waiting: ReflectedEvent<VirtualKey>[] = [];
  const listeners: ((event: ReflectedEvent<VirtualKey>) => void)[] = [];
  let held = false;
  const tell = (event: ReflectedEvent<VirtualKey>): void => {
    for (const listener of listeners) listener(event);
  };
  return {
    cluster: Object.assign(Object.create(real) as Cluster, {
      reflect(options: ReflectOptions<never>) {
        if (options.kind !== 'VirtualKey') return real.reflect(options);
        listeners.push(options.onEvent as (event: ReflectedEvent<VirtualKey>) => void);
        return real.reflect<VirtualKey>({ ...options, onEvent: (event) => void (held ? waiting.push(event) : tell(event)) });
      },
    }),
    hold: () => void (held = true),
    release() {
      held = false;
      for (const event of waiting.splice(0)) tell(event);
    },
    inject: tell,
  };
}
