import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { makeMetrics } from './metrics.ts';
import { toMetricsText } from './metrics-text.ts';

test('writes what prom-client writes, whatever the kind, the labels and the numbers', async () => {
  const registry = new Registry();
  const registers = [registry];
  const odd = 'a "quoted" \\ back\nslash, {braces} = é';
  const counter = new Counter({ name: 'things_total', help: 'Things.\nAnd \\ more "words".', labelNames: ['kind', 'other'], registers });
  counter.inc({ kind: 'one' });
  counter.inc({ kind: odd, other: '' }, 2.5);
  new Counter({ name: 'none_total', help: 'Nothing yet.', registers });
  new Counter({ name: 'never_total', help: 'Nothing yet.', labelNames: ['kind'], registers });
  const gauge = new Gauge({ name: 'depth', help: 'Depth.', labelNames: ['of'], registers });
  for (const value of [0, -1, 1e21, 1e-9, 1 / 3, Infinity, -Infinity]) gauge.set({ of: String(value) }, value);
  new Gauge({
    name: 'scraped',
    help: 'Set at each scrape.',
    registers,
    collect() {
      this.set(7);
    },
  });
  const histogram = new Histogram({ name: 'took_seconds', help: 'How long.', labelNames: ['kind'], buckets: [0.1, 1], registers });
  for (const seconds of [0.05, 0.5, 5]) histogram.observe({ kind: odd }, seconds);
  new Histogram({ name: 'bare_seconds', help: 'How long.', buckets: [1], registers }).observe(0.5);
  const text = await registry.metrics();
  expect(await toMetricsText(registry)).toBe(text);
  expect(text).toContain('took_seconds_bucket{le="+Inf",kind=');
  expect(await toMetricsText(new Registry())).toBe('');
});

test('a number that is none is written as the format says', async () => {
  const registry = new Registry();
  new Gauge({ name: 'unknown', help: 'Unknown.', registers: [registry] }).set(Number.NaN);
  expect(await toMetricsText(registry)).toContain('\nunknown NaN\n');
});

test('others have their turn while thousands of series are written', async () => {
  const metrics = makeMetrics();
  const counter = metrics.counter({ name: 'many_total', help: 'Many.', labels: ['key'] });
  for (let number = 0; number < 20_000; number += 1) counter.inc({ key: `team/${number}` });
  let turns = 0;
  let going = true;
  const others = (async () => {
    while (going) {
      await new Promise((resolve) => setImmediate(resolve));
      turns += 1;
    }
  })();
  const text = await toMetricsText(metrics.registry);
  going = false;
  await others;
  metrics.close();
  expect(text.split('\n').filter((line) => line.startsWith('keywright_many_total{'))).toHaveLength(20_000);
  expect(turns).toBeGreaterThanOrEqual(40);
});
