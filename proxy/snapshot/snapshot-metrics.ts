import { sha256Hex } from '../../runtime/digest.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { HeldShard } from './held-shard.ts';

export interface SnapshotMetrics {
  /** from the publication of a change to its being in force here */
  observeLag(seconds: number): void;
}

export interface SnapshotReadings {
  readonly now: () => number;
  readonly epoch: () => number | undefined;
  readonly shards: () => readonly HeldShard[];
  readonly keys: () => number;
  readonly refused: () => number;
  readonly locked: () => number;
  readonly connected: () => boolean;
}

const lagSeconds = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function makeSnapshotMetrics(metrics: Metrics, readings: SnapshotReadings): SnapshotMetrics {
  metrics.gauge({
    name: 'snapshot_revision_info',
    help: 'The snapshot in force: its epoch, and a digest of the revisions of its shards, equal on proxies that hold the same; always 1.',
    labels: ['epoch', 'revision'],
    collect(gauge) {
      gauge.reset();
      const epoch = readings.epoch();
      if (epoch === undefined) return;
      const revisions = readings.shards().map(({ name, header }) => `${name}=${header.revision}`);
      gauge.set({ epoch: String(epoch), revision: sha256Hex(revisions.join('\n')).slice(0, 12) }, 1);
    },
  });
  metrics.gauge({
    name: 'snapshot_age_seconds',
    help: 'Time since the newest shard in force was published; grows while nothing changes.',
    collect(gauge) {
      const newest = readings.shards().reduce((latest, { header }) => Math.max(latest, header.publishedAt), 0);
      gauge.set(newest === 0 ? 0 : Math.max(0, readings.now() - newest) / 1000);
    },
  });
  metrics.gauge({
    name: 'snapshot_watch_connected',
    help: '1 while changes of the snapshot arrive.',
    collect: (gauge) => gauge.set(readings.connected() ? 1 : 0),
  });
  metrics.gauge({
    name: 'snapshot_incompatible',
    help: 'Documents that were refused (invalid, or written for newer readers) and whose last good version stays in force.',
    collect: (gauge) => gauge.set(readings.refused()),
  });
  metrics.gauge({
    name: 'snapshot_locked',
    help: 'Documents that are sealed with a key that this proxy does not have, or not sealed where they must be; the last good ones stay in force.',
    collect: (gauge) => gauge.set(readings.locked()),
  });
  // `snapshot_keys` is the operator's: what it published; in standalone both share a registry
  metrics.gauge({
    name: 'snapshot_held_keys',
    help: 'Virtual keys in force in this proxy.',
    collect: (gauge) => gauge.set(readings.keys()),
  });
  const lag = metrics.histogram({
    name: 'snapshot_apply_lag_seconds',
    help: 'From the publication of a change to its being in force.',
    buckets: lagSeconds,
  });
  return { observeLag: (seconds) => lag.observe(Math.max(0, seconds)) };
}
