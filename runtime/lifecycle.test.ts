import { afterEach, expect, test, vi } from 'vitest';
import { untilHolds } from '../test/support/eventually.ts';
import { makeLifecycle } from './lifecycle.ts';
import { makeLog } from './log.ts';

const log = makeLog({ level: 'silent', name: 'test' });
const before = { SIGTERM: process.listeners('SIGTERM'), SIGINT: process.listeners('SIGINT') };

afterEach(() => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    for (const listener of process.listeners(signal)) if (!before[signal].includes(listener)) process.off(signal, listener);
  }
});

test('ends run in reverse order, one after the other', async () => {
  const order: string[] = [];
  const lifecycle = makeLifecycle(log);
  lifecycle.onStop('first', () => void order.push('first'));
  lifecycle.onStop('second', async () => {
    order.push('second begins');
    await new Promise((resolve) => setTimeout(resolve, 5));
    order.push('second ends');
  });
  expect(lifecycle.stopping).toBe(false);
  const stopped = lifecycle.stop();
  expect(lifecycle.stopping).toBe(true);
  expect(lifecycle.stop()).toBe(stopped);
  await stopped;
  expect(order).toEqual(['second begins', 'second ends', 'first']);
});

test('an end that throws, rejects or hangs does not keep the others from running', async () => {
  const last = vi.fn();
  const lifecycle = makeLifecycle(log);
  lifecycle.onStop('last', last);
  lifecycle.onStop('throws', () => {
    throw new Error('planned');
  });
  lifecycle.onStop('rejects', () => Promise.reject(new Error('planned')));
  lifecycle.onStop('hangs', () => new Promise(() => {}), 10);
  await lifecycle.stop();
  expect(last).toHaveBeenCalledTimes(1);
});

test('what is started while stopping is stopped as well', async () => {
  const late = vi.fn();
  const lifecycle = makeLifecycle(log);
  lifecycle.onStop('starts something', () => lifecycle.onStop('late', late));
  await lifecycle.stop();
  expect(late).toHaveBeenCalledTimes(1);
});

test('a signal stops and exits 0', async () => {
  const exit = vi.fn();
  const lifecycle = makeLifecycle(log, exit);
  lifecycle.handleSignals();
  process.emit('SIGTERM', 'SIGTERM');
  await lifecycle.stop();
  await untilHolds(() => expect(exit).toHaveBeenCalledWith(0));
});

test('a second signal exits 1 without waiting', () => {
  const exit = vi.fn();
  const lifecycle = makeLifecycle(log, exit);
  lifecycle.onStop('hangs', () => new Promise(() => {}), 50);
  lifecycle.handleSignals();
  process.emit('SIGINT', 'SIGINT');
  expect(exit).not.toHaveBeenCalled();
  process.emit('SIGTERM', 'SIGTERM');
  expect(exit).toHaveBeenCalledWith(1);
});
