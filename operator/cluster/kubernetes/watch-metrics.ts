import type { Registry } from 'prom-client';
import { countAtScrape, counterOf, gaugeOf } from '../../metric.ts';

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
  const ages = gaugeOf(
    registry,
    'keywright_watch_last_event_age_seconds',
    'Time since anything came from the API server; of several watches of a kind the longest',
    ['kind'],
  );
  countAtScrape(ages, (gauge) => {
    gauge.reset();
    const longest = new Map<string, number>();
    for (const { kind, lastEventAgeMs } of running) longest.set(kind, Math.max(longest.get(kind) ?? 0, lastEventAgeMs() / 1000));
    for (const [kind, age] of longest) gauge.set({ kind }, age);
  });

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
