import type { Counter, Histogram } from 'prom-client';
import type { Metrics } from '../../runtime/metrics.ts';

export interface LimiterMetrics {
  readonly late: Counter;
  readonly timeouts: Counter;
  readonly commands: Counter<'command'>;
  readonly duration: Histogram;
}

interface Sources {
  readonly settleQueueDepth: () => number;
  readonly degraded: () => boolean;
  /** by name, whether it decides */
  readonly nodes: () => ReadonlyMap<string, boolean>;
}

/** What a proxy tells about its limiter. */
export function makeLimiterMetrics(metrics: Metrics, { settleQueueDepth, degraded, nodes }: Sources): LimiterMetrics {
  metrics.gauge({
    name: 'settle_queue_depth',
    help: 'Settlements, renewals and releases that wait for Redis.',
    collect: (gauge) => gauge.set(settleQueueDepth()),
  });
  metrics.gauge({
    name: 'limiter_degraded',
    help: '1 while the failure policy decides for some keys, or all, because Redis is away or slow.',
    collect: (gauge) => gauge.set(degraded() ? 1 : 0),
  });
  metrics.gauge({
    name: 'limiter_node_degraded',
    help: 'By master of Redis (`all` where there is one for all keys): 1 while the failure policy decides for the keys on it.',
    labels: ['node'],
    collect(gauge) {
      gauge.reset();
      for (const [node, decides] of nodes()) gauge.set({ node }, decides ? 0 : 1);
    },
  });
  return {
    late: metrics.counter({
      name: 'limiter_late_total',
      help: 'Admissions that waited longer than 250 ms for Redis and were decided by it all the same.',
    }),
    timeouts: metrics.counter({ name: 'limiter_timeouts_total', help: 'Admissions that Redis did not answer in time.' }),
    commands: metrics.counter({ name: 'limiter_commands_total', help: 'Scripts sent to Redis.', labels: ['command'] }),
    duration: metrics.histogram({
      name: 'limiter_duration_seconds',
      help: 'How long an admission waited for Redis.',
      buckets: [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5],
    }),
  };
}
