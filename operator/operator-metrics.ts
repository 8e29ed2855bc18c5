import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Condition } from '../core/resources.ts';
import { countAtScrape, counterOf, gaugeOf, histogramOf } from './metric.ts';
import { watchRevoked } from './credentials/revoked-hashes.ts';
import type { Watches } from './watches.ts';

const phases = ['Pending', 'Active', 'Suspended', 'Expired', 'Revoked', 'Failed'] as const;

export interface OperatorMetrics {
  reconciled(kind: string, tookMs: number, outcome: 'ok' | 'error'): void;
  crdOutdated(value: boolean): void;
}

/** What the operator tells of its own work and of what it sees. */
export function makeOperatorMetrics(registry: Registry, watches: Watches): OperatorMetrics {
  const total: Counter = counterOf(registry, 'keywright_reconcile_total', 'Runs of the reconciler', ['kind']);
  const errors: Counter = counterOf(
    registry,
    'keywright_reconcile_errors_total',
    'Runs of the reconciler that failed and are tried again',
    ['kind'],
  );
  const duration: Histogram = histogramOf(registry, 'keywright_reconcile_duration_seconds', 'How long a run of the reconciler took', [
    'kind',
  ]);
  const outdated: Gauge = gaugeOf(
    registry,
    'keywright_crd_outdated',
    '1 while a CRD in the cluster lacks fields that this version enforces',
  );
  outdated.set(0);
  countAtScrape(gaugeOf(registry, 'keywright_virtualkeys', 'VirtualKeys by phase', ['phase']), (gauge) => {
    const counts = new Map<string, number>(phases.map((phase) => [phase, 0]));
    for (const { status } of watches.virtualKeys.values())
      counts.set(status?.phase ?? 'Pending', (counts.get(status?.phase ?? 'Pending') ?? 0) + 1);
    for (const [phase, count] of counts) gauge.set({ phase }, count);
  });
  countAtScrape(gaugeOf(registry, 'keywright_channels', 'Channels by readiness', ['ready']), (gauge) => {
    let ready = 0;
    for (const { status } of watches.channels.values()) if (isReady(status?.conditions ?? [])) ready += 1;
    gauge.set({ ready: 'true' }, ready);
    gauge.set({ ready: 'false' }, watches.channels.size - ready);
  });
  watchRevoked(watches.revoked, registry);
  return {
    reconciled(kind, tookMs, outcome) {
      total.inc({ kind });
      duration.observe({ kind }, tookMs / 1000);
      if (outcome === 'error') errors.inc({ kind });
    },
    crdOutdated: (value) => outdated.set(value ? 1 : 0),
  };
}

function isReady(conditions: readonly Condition[]): boolean {
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}
