import type { Counter, Gauge, Histogram } from 'prom-client';
import type { Metrics } from '../../runtime/metrics.ts';

export interface LimiterMetrics {
  readonly degraded: Gauge;
  readonly timeouts: Counter;
  readonly commands: Counter<'command'>;
  readonly duration: Histogram;
}

/** What a proxy tells about its limiter. */
export function makeLimiterMetrics(metrics: Metrics, settleQueueDepth: () => number): LimiterMetrics {
  metrics.gauge({
    name: 'settle_queue_depth',
    help: 'Settlements, renewals and releases that wait for Redis.',
    collect: (gauge) => gauge.set(settleQueueDepth()),
  });
  return {
    degraded: metrics.gauge({ name: 'limiter_degraded', help: '1 while the failure policy decides because Redis is away or slow.' }),
    timeouts: metrics.counter({ name: 'limiter_timeouts_total', help: 'Admissions that Redis did not answer in time.' }),
    commands: metrics.counter({ name: 'limiter_commands_total', help: 'Scripts sent to Redis.', labels: ['command'] }),
    duration: metrics.histogram({
      name: 'limiter_duration_seconds',
      help: 'How long an admission waited for Redis.',
      buckets: [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25],
    }),
  };
}
