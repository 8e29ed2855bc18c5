import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';

/**
 * The metric of that name in the registry, made at first use: two clusters or queues in one process share it.
 */
export function counterOf(registry: Registry, name: string, help: string, labelNames: string[] = []): Counter {
  const known = registry.getSingleMetric(name);
  return known instanceof Counter ? known : new Counter({ name, help, labelNames, registers: [registry] });
}

/** The gauge of that name; made where it is missing, because a process leads more than once. */
export function gaugeOf(registry: Registry, name: string, help: string, labelNames: string[] = []): Gauge {
  const known = registry.getSingleMetric(name);
  return known instanceof Gauge ? known : new Gauge({ name, help, labelNames, registers: [registry] });
}

/** The histogram of that name, in seconds; made where it is missing. */
export function histogramOf(registry: Registry, name: string, help: string, labelNames: string[] = []): Histogram {
  const known = registry.getSingleMetric(name);
  if (known instanceof Histogram) return known;
  return new Histogram({ name, help, labelNames, buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60], registers: [registry] });
}

/** prom-client calls `collect` of a metric at each scrape. */
export function countAtScrape(gauge: Gauge, collect: (gauge: Gauge) => void): void {
  Object.assign(gauge, { collect: () => collect(gauge) });
}

/** One value of a gauge. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The gauge has these series at each scrape and no others. They are taken as they come, since to set thousands one by one would hold up everything else. */
export function showAtScrape(gauge: Gauge, read: () => Promise<readonly Series[]>): void {
  const { get } = Gauge.prototype;
  Object.assign(gauge, { get: async () => ({ ...(await get.call(gauge)), values: await read() }) });
}
