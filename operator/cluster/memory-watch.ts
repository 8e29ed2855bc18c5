import type { ClusterObject, Reflector, ReflectedEvent, ReflectOptions } from './cluster.ts';
import { toMetadataOnly } from './memory-rules.ts';
import type { Matcher } from './selector.ts';
import { parseFieldSelector, parseLabelSelector } from './selector.ts';

type Selection = Omit<ReflectOptions<ClusterObject>, 'onEvent'>;

/** Does this object belong to what is asked for? */
export function toMatcher(selection: Selection): Matcher {
  const labels = parseLabelSelector(selection.labelSelector);
  const fields = parseFieldSelector(selection.fieldSelector);
  return (object) =>
    object.kind === selection.kind &&
    (selection.namespace === undefined || object.metadata.namespace === selection.namespace) &&
    labels(object) &&
    fields(object);
}

export interface Watcher extends Reflector {
  /** `after` absent: deleted; `before` absent: created */
  changed(before: ClusterObject | undefined, after: ClusterObject | undefined): void;
}

/**
 * One reflector of the memory cluster: what is there, then Synced, then every change in order. Always delivered in a microtask,
 * never in the stack of the write, as over a network.
 */
export function makeWatcher(options: {
  readonly reflect: ReflectOptions<ClusterObject>;
  readonly existing: readonly ClusterObject[];
  readonly onHandlerError: (error: unknown) => void;
  readonly onStop: (watcher: Watcher) => void;
}): Watcher {
  const { reflect } = options;
  const matches = toMatcher(reflect);
  const project = reflect.metadataOnly === true ? toMetadataOnly : (object: ClusterObject) => object;
  const queue: ReflectedEvent<ClusterObject>[] = [];
  let scheduled = false;
  let stopped = false;

  function enqueue(event: ReflectedEvent<ClusterObject>): void {
    if (stopped) return;
    queue.push(event);
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(deliver);
  }

  function deliver(): void {
    scheduled = false;
    for (const event of queue.splice(0)) {
      if (stopped) return;
      try {
        reflect.onEvent(event);
      } catch (error) {
        options.onHandlerError(error);
      }
    }
  }

  for (const object of options.existing) if (matches(object)) enqueue({ type: 'Applied', object: project(object) });
  enqueue({ type: 'Synced' });

  const watcher: Watcher = {
    changed(before, after) {
      if (after !== undefined && matches(after)) enqueue({ type: 'Applied', object: project(after) });
      else if (before !== undefined && matches(before)) enqueue({ type: 'Deleted', object: project(before), seen: true });
    },
    // Nothing is ever missing from this one's lists.
    keep: () => undefined,
    async stop() {
      stopped = true;
      options.onStop(watcher);
    },
  };
  return watcher;
}
