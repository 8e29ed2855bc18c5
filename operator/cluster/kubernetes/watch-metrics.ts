import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { counterOf } from '../../metric.ts';

export interface WatchMetrics {
  told(kind: string, type: string): void;
  restarted(kind: string): void;
  /** @returns what ends the registration */
  register(kind: string, lastEventAgeMs: () => number): () => void;
}

/** `watch_{events_total,restarts_total,last_event_age_seconds}` of all reflectors of a cluster. */
export function makeWatchMetrics(registry: Registry): WatchMetrics {
  const events = counterOf(registry, 'keywright_watch_events_total', 'Events of watches, bookmarks included', ['kind', 'type']);
  const restarts = counterOf(registry, 'keywright_watch_restarts_total', 'Watches that ended other than as agreed', ['kind']);
  const running = new Set<{ kind: string; lastEventAgeMs: () => number }>();
  const name = 'keywright_watch_last_event_age_seconds';

  function collect(gauge: Gauge): void {
    gauge.reset();
    const ages = new Map<string, number>();
    for (const { kind, lastEventAgeMs } of running) ages.set(kind, Math.max(ages.get(kind) ?? 0, lastEventAgeMs() / 1000));
    for (const [kind, age] of ages) gauge.set({ kind }, age);
  }

  if (registry.getSingleMetric(name) === undefined) {
    new Gauge({
      name,
      help: 'Time since anything came from the API server; of several watches of a kind the longest',
      labelNames: ['kind'],
      registers: [registry],
      collect() {
        collect(this);
      },
    });
  }

  return {
    told: (kind, type) => events.inc({ kind, type }),
    restarted: (kind) => restarts.inc({ kind }),
    register(kind, lastEventAgeMs) {
      const entry = { kind, lastEventAgeMs };
      running.add(entry);
      return () => void running.delete(entry);
    },
  };
}
