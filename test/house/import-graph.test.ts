import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readImportGraph } from './import-graph.ts';

const root = join(import.meta.dirname, '..', '..');

test('a proxy loads no Kubernetes client and nothing of the operator, by whatever way', () => {
  const graph = readImportGraph(root, 'proxy/main.ts');
  const wrong = [...graph].filter(([target]) => /^(@kubernetes\/|operator\/|standalone\/|cli\/|crds\/|test\/)/.test(target));
  expect(wrong).toEqual([]);
  // the reader of the graph reads: what every proxy has is there
  for (const target of ['fastify', 'undici', 'ioredis', 'core/refusals.ts', 'runtime/environment.ts'])
    expect([...graph.keys()]).toContain(target);
});

test('an operator loads nothing of the proxy', () => {
  const graph = readImportGraph(root, 'operator/main.ts');
  expect([...graph].filter(([target]) => /^(proxy\/|standalone\/|cli\/|test\/)/.test(target))).toEqual([]);
  expect([...graph.keys()]).toContain('@kubernetes/client-node');
});

test('standalone loads no Kubernetes client', () => {
  expect([...readImportGraph(root, 'standalone/main.ts').keys()].filter((target) => target.startsWith('@kubernetes/'))).toEqual([]);
});

test('core loads nothing but core, and everything is reached from the command', () => {
  const graph = readImportGraph(root, 'cli/keywright.ts');
  expect([...graph].filter(([target, from]) => from.startsWith('core/') && !target.startsWith('core/'))).toEqual([]);
  for (const target of ['proxy/main.ts', 'operator/main.ts', 'standalone/main.ts', 'cli/lint.ts'])
    expect([...graph.keys()]).toContain(target);
});
