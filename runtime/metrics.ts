import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

interface Described<L extends string> {
  /** without the `keywright_` prefix; base units, `_total` for counters */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly L[];
}

export interface Metrics {
  readonly registry: Registry;
  counter<L extends string>(described: Described<L>): Counter<L>;
  /** `collect` is called at each scrape and sets the value */
  gauge<L extends string>(described: Described<L> & { readonly collect?: (gauge: Gauge<L>) => void }): Gauge<L>;
  histogram<L extends string>(described: Described<L> & { readonly buckets: readonly number[] }): Histogram<L>;
  /** stops the event-loop monitor */
  close(): void;
}

/**
 * A process' own registry, with what every process tells: build, event loop, memory, CPU. Not prom-client's default set, because some of its names break the rules
 * that `promtool check metrics` holds (`nodejs_active_handles_total` is no counter).
 */
export function makeMetrics({ version = 'development' }: { version?: string } = {}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const metrics: Metrics = {
    registry,
    counter: ({ name, help, labels = [] }) => new Counter({ name: `keywright_${name}`, help, labelNames: labels, registers }),
    gauge({ name, help, labels = [], collect }) {
      const collectThis = collect && {
        collect(this: Gauge<(typeof labels)[number]>) {
          collect(this);
        },
      };
      return new Gauge({ name: `keywright_${name}`, help, labelNames: labels, registers, ...collectThis });
    },
    histogram: ({ name, help, labels = [], buckets }) =>
      new Histogram({ name: `keywright_${name}`, help, labelNames: labels, buckets: [...buckets], registers }),
    close: () => delay.disable(),
  };
  const delay = addEventLoopMetrics(metrics);
  addProcessMetrics(registry);
  metrics
    .gauge({ name: 'build_info', help: 'Which build runs; always 1.', labels: ['version', 'node'] })
    .set({ version, node: process.versions.node }, 1);
  return metrics;
}

/** `max` different label values, first come; the rest is `other`, until one that was idle for a day makes room. */
export interface SeriesBound {
  /** the value to use as label: itself, or `other` */
  label(value: string): string;
  readonly size: number;
}

/** `onEvicted` has to remove the evicted value's series. `now` gives milliseconds. */
export function makeSeriesBound(
  max: number,
  {
    now = Date.now,
    idleMs = 86_400_000,
    onEvicted = () => {},
  }: { now?: () => number; idleMs?: number; onEvicted?: (value: string) => void } = {},
): SeriesBound {
  // in order of last use, because a Map iterates in order of insertion and each use inserts again
  const lastUsed = new Map<string, number>();
  return {
    label(value) {
      const nowMs = now();
      if (lastUsed.delete(value)) {
        lastUsed.set(value, nowMs);
        return value;
      }
      if (lastUsed.size >= max) {
        const [oldest] = lastUsed;
        if (oldest === undefined || nowMs - oldest[1] < idleMs) return 'other';
        lastUsed.delete(oldest[0]);
        onEvicted(oldest[0]);
      }
      lastUsed.set(value, nowMs);
      return value;
    },
    get size() {
      return lastUsed.size;
    },
  };
}

function addEventLoopMetrics(metrics: Metrics): { disable(): void } {
  const resolutionMs = 10;
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  let last = performance.eventLoopUtilization();
  metrics.gauge({
    name: 'event_loop_lag_seconds',
    help: 'How late timers ran since the last scrape.',
    labels: ['quantile'],
    collect(gauge) {
      // the monitor counts its own interval in
      const lag = (nanoseconds: number): number => (Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - resolutionMs / 1e3) : 0);
      gauge.set({ quantile: '0.5' }, lag(delay.percentile(50)));
      gauge.set({ quantile: '0.99' }, lag(delay.percentile(99)));
      gauge.set({ quantile: '1' }, lag(delay.max));
      delay.reset();
    },
  });
  metrics.gauge({
    name: 'event_loop_utilization_ratio',
    help: 'Share of the time since the last scrape in which the event loop was busy.',
    collect(gauge) {
      const current = performance.eventLoopUtilization();
      gauge.set(performance.eventLoopUtilization(current, last).utilization);
      last = current;
    },
  });
  return delay;
}

/** The names that every Prometheus client library uses, therefore without our prefix. */
function addProcessMetrics(registry: Registry): void {
  const registers = [registry];
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'When the process started, since 1970.',
    registers,
    collect() {
      this.set(performance.timeOrigin / 1000);
    },
  });
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system time spent.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
}
