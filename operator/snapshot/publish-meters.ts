import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { counterOf, gaugeOf, histogramOf } from '../metric.ts';

/** Why a part of the snapshot is not written. */
type BlockReason = 'guard' | 'write';

export interface PublishMeters {
  readonly writes: Counter;
  readonly duration: Histogram;
  readonly bytes: Gauge;
  readonly keys: Gauge;
  readonly blocked: Gauge;
  readonly withheld: Gauge;
  readonly epoch: Gauge;
  readonly revocations: Gauge;
}

export function makePublishMeters(registry: Registry): PublishMeters {
  const blocked = gaugeOf(registry, 'keywright_snapshot_blocked', '1 while a part of the snapshot is not written, by reason', ['reason']);
  for (const reason of ['guard', 'write'] satisfies BlockReason[]) blocked.set({ reason }, 0);
  return {
    writes: counterOf(registry, 'keywright_publish_total', 'Writes of snapshot Secrets', ['outcome']),
    duration: histogramOf(registry, 'keywright_publish_duration_seconds', 'From the first change of a bucket to its write'),
    bytes: gaugeOf(registry, 'keywright_snapshot_bytes', 'Size of the snapshot Secrets, those of a former or a next epoch included'),
    keys: gaugeOf(registry, 'keywright_snapshot_keys', 'Keys in the snapshot'),
    blocked,
    withheld: gaugeOf(
      registry,
      'keywright_snapshot_withheld_keys',
      'Keys that stay in the snapshot because too many would leave it at once',
    ),
    revocations: gaugeOf(
      registry,
      'keywright_snapshot_revocations',
      'Revocations that stand in a Secret of their own because their shards are not written at present',
    ),
    epoch: gaugeOf(registry, 'keywright_snapshot_epoch', 'The epoch in force'),
  };
}
