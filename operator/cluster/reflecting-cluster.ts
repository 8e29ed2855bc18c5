import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Registry } from 'prom-client';
import type { Cluster, ClusterObject, Kind, Reflector, ReflectOptions } from './cluster.ts';
import { ExpiredError } from './kubernetes/answer.ts';
import { startReflector } from './kubernetes/reflector.ts';
import { makeWatchMetrics } from './kubernetes/watch-metrics.ts';
import type { MemoryCluster } from './memory.ts';

export interface ReflectingCluster extends Cluster {
  /** what a list of this kind answers; default: what is there */
  lie: (kind: Kind, objects: readonly ClusterObject[]) => readonly ClusterObject[];
  /** watches of these tell nothing */
  readonly muted: Set<Kind>;
  /** ends the watches of a kind as a server does whose history is gone, so that their reflectors list anew */
  expire(kind: Kind): void;
}

/** A cluster in memory behind the reflectors of a real one, whose lists may lie. For tests. */
export function makeReflectingCluster(memory: MemoryCluster, options: { clock: Clock; log: Log; registry: Registry }): ReflectingCluster {
  const metrics = makeWatchMetrics(options.registry);
  const watches = new Set<{ readonly kind: Kind; readonly expire: () => void }>();
  const reflecting: ReflectingCluster = {
    lie: (_kind, objects) => objects,
    muted: new Set(),
    expire(kind) {
      for (const watch of watches) if (watch.kind === kind) watch.expire();
    },
    reflect<T extends ClusterObject>(reflect: ReflectOptions<T>): Reflector {
      const { onEvent: _, ...selection } = reflect;
      const source = {
        version: async () => String(newest(memory)),
        async list() {
          const items = reflecting.lie(reflect.kind, await memory.list(selection)) as readonly T[];
          return { items, resourceVersion: String(newest(memory)), next: undefined };
        },
        async watch({ signal }: { signal: AbortSignal }) {
          return follow(memory, selection, { signal, watches, muted: reflecting.muted });
        },
      };
      return startReflector({ ...options, source, reflect, random: () => 0.5, metrics });
    },
    get: (reference) => memory.get(reference),
    list: (selection) => memory.list(selection),
    listEach: (selection, take) => memory.listEach(selection, take),
    create: (object) => memory.create(object),
    replace: (object) => memory.replace(object),
    patchStatus: (object, status) => memory.patchStatus(object, status),
    remove: (reference) => memory.remove(reference),
    recordEvent: (event) => memory.recordEvent(event),
    close: () => memory.close(),
  };
  return reflecting;
}

async function* follow(
  memory: MemoryCluster,
  selection: Omit<ReflectOptions<ClusterObject>, 'onEvent'>,
  options: { signal: AbortSignal; watches: Set<{ readonly kind: Kind; readonly expire: () => void }>; muted: ReadonlySet<Kind> },
): AsyncIterable<Uint8Array> {
  const { signal, watches, muted } = options;
  const lines: Uint8Array[] = [];
  let expired = false;
  let synced = false;
  let wake: () => void = () => undefined;
  const write = (type: string, object: ClusterObject): void => {
    if (muted.has(selection.kind)) return;
    lines.push(Buffer.from(`${JSON.stringify({ type, object })}\n`));
    wake();
  };
  const watch = memory.reflect({
    ...selection,
    onEvent(event) {
      if (event.type === 'Synced') synced = true;
      else if (synced && event.type === 'Applied') write('MODIFIED', event.object);
      else if (synced) write('DELETED', withNextVersion(event.object));
    },
  });
  const entry = {
    kind: selection.kind,
    expire() {
      expired = true;
      wake();
    },
  };
  watches.add(entry);
  const stop = (): void => wake();
  signal.addEventListener('abort', stop);
  try {
    while (!signal.aborted) {
      yield* lines.splice(0);
      if (expired) throw new ExpiredError();
      if (lines.length > 0) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (signal.aborted || expired || lines.length > 0) resolve();
      });
    }
  } finally {
    signal.removeEventListener('abort', stop);
    watches.delete(entry);
    await watch.stop();
  }
}

/** A deletion has a version of its own. */
function withNextVersion<T extends ClusterObject>(object: T): T {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(Number(object.metadata.resourceVersion ?? 0) + 1) } };
}

function newest(memory: MemoryCluster): number {
  return memory.objects().reduce((latest, { metadata }) => Math.max(latest, Number(metadata.resourceVersion ?? 0)), 0);
}
