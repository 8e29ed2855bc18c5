import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { counterOf, gaugeOf, histogramOf } from './metric.ts';

export interface PublishMeters {
  readonly writes: Counter;
  readonly duration: Histogram;
  readonly bytes: Gauge;
  readonly keys: Gauge;
  readonly blocked: Gauge;
}

export function makePublishMeters(registry: Registry): PublishMeters {
  return {
    writes: counterOf(registry, 'keywright_publish_total', 'Writes of snapshot Secrets', ['outcome']),
    duration: histogramOf(registry, 'keywright_publish_duration_seconds', 'From the first change of a bucket to its write'),
    bytes: gaugeOf(registry, 'keywright_snapshot_bytes', 'Size of the snapshot Secrets that this process has written'),
    keys: gaugeOf(registry, 'keywright_snapshot_keys', 'Keys in the snapshot'),
    blocked: gaugeOf(registry, 'keywright_snapshot_blocked', '1 while a part of the snapshot cannot be written'),
  };
}
