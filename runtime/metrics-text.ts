import type { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** So many lines at a time: about half a millisecond. */
const linesPerTurn = 500;

type Shown = Awaited<ReturnType<(Counter | Gauge | Histogram)['get']>>;
type Value = Shown['values'][number] & { readonly metricName?: string };

/**
 * All metrics in Prometheus' text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/). prom-client writes all lines in one turn of the event loop, which with
 * 20,000 series is a stall that every running stream sees; here others have their turn in between.
 */
export async function toMetricsText(registry: Pick<Registry, 'getMetricsAsArray' | 'getSingleMetric'>): Promise<string> {
  const chunks: string[] = [];
  let lines: string[] = [];
  const flush = async (): Promise<void> => {
    chunks.push(lines.join('\n'));
    lines = [];
    await new Promise((resolve) => setImmediate(resolve));
  };
  for (const { name } of registry.getMetricsAsArray()) {
    const shown = await (registry.getSingleMetric(name) as Counter | Gauge | Histogram).get();
    lines.push(`# HELP ${name} ${escape(shown.help)}`, `# TYPE ${name} ${String(shown.type)}`);
    for (const value of shown.values as readonly Value[]) {
      lines.push(toLine(name, value));
      if (lines.length >= linesPerTurn) await flush();
    }
    lines.push('');
  }
  await flush();
  return chunks.filter((chunk) => chunk !== '').join('\n');
}

function toLine(name: string, { metricName, labels, value }: Value): string {
  const texts = Object.entries(labels).map(([label, text]) => `${label}="${escape(String(text)).replaceAll('"', String.raw`\"`)}"`);
  return `${metricName ?? name}${texts.length === 0 ? '' : `{${texts.join(',')}}`} ${toNumberText(value)}`;
}

function escape(text: string): string {
  return text.replaceAll('\\', String.raw`\\`).replaceAll('\n', String.raw`\n`);
}

function toNumberText(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}
