import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { makeMetrics, makeSeriesBound, type Metrics } from './metrics.ts';

let metrics: Metrics | undefined;
afterEach(() => {
  metrics?.close();
});

test('names get the prefix, and each process tells build, event loop, memory and CPU', async () => {
  metrics = makeMetrics({ version: '1.2.3' });
  metrics.counter({ name: 'things_total', help: 'Things.', labels: ['kind'] }).inc({ kind: 'good' });
  const text = await metrics.registry.metrics();
  expect(text).toContain('keywright_things_total{kind="good"} 1');
  expect(text).toContain('keywright_build_info{version="1.2.3"');
  for (const name of [
    'keywright_event_loop_lag_seconds{quantile="0.99"}',
    'keywright_event_loop_utilization_ratio',
    'process_resident_memory_bytes',
    'process_cpu_seconds_total',
  ]) {
    expect(text).toContain(`\n${name} `);
  }
});

test('only counters end in _total, and each metric has help: promtool would complain otherwise', async () => {
  metrics = makeMetrics();
  for (const metric of await metrics.registry.getMetricsAsJSON()) {
    // prom-client gives the type as a number in its declarations and as a word at run time
    expect([metric.name, String(metric.type) === 'counter']).toEqual([metric.name, metric.name.endsWith('_total')]);
    expect(metric.help).not.toBe('');
  }
});

test('a gauge with collect is set at each scrape', async () => {
  metrics = makeMetrics();
  let value = 1;
  metrics.gauge({ name: 'depth', help: 'Depth.', collect: (gauge) => gauge.set(value) });
  expect(await metrics.registry.metrics()).toContain('keywright_depth 1');
  value = 2;
  expect(await metrics.registry.metrics()).toContain('keywright_depth 2');
});

test('a series bound keeps the first values, and calls the rest other', () => {
  const bound = makeSeriesBound(2, { now: () => 0 });
  expect(['a', 'b', 'c', 'a', 'b', 'c'].map((value) => bound.label(value))).toEqual(['a', 'b', 'other', 'a', 'b', 'other']);
});

test('a value that was idle for so long makes room, and is told to be evicted', () => {
  let nowMs = 0;
  const onEvicted = vi.fn();
  const bound = makeSeriesBound(2, { now: () => nowMs, idleMs: 100, onEvicted });
  bound.label('a');
  bound.label('b');
  nowMs = 60;
  bound.label('a');
  nowMs = 100;
  expect(bound.label('c')).toBe('c');
  expect(onEvicted.mock.calls).toEqual([['b']]);
  expect(bound.label('a')).toBe('a');
});

test('never more than max values, whatever comes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.tuple(fc.string(), fc.nat(50))), (max, uses) => {
      let nowMs = 0;
      const live = new Set<string>();
      const bound = makeSeriesBound(max, { now: () => nowMs, idleMs: 20, onEvicted: (value) => live.delete(value) });
      for (const [value, waitMs] of uses) {
        nowMs += waitMs;
        const label = bound.label(`v${value}`);
        if (label !== 'other') live.add(label);
        expect(live.size).toBeLessThanOrEqual(max);
      }
    }),
  );
});
