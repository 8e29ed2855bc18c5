import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Child, startChild } from '../support/child.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';

let controlPlane: ControlPlane;
const children: Child[] = [];

beforeAll(async () => {
  controlPlane = await startControlPlane();
  await controlPlane.kubectl('create', 'namespace', 'leaders');
});
afterAll(async () => {
  for (const child of children) child.signal('SIGCONT');
  await Promise.all(children.map((child) => child.stop(5_000)));
  await controlPlane?.stop();
});

function start(identity: string): { child: Child; lines: string[] } {
  const lines: string[] = [];
  const script = join(import.meta.dirname, 'leader.ts');
  const child = startChild(process.execPath, [script, controlPlane.kubeconfigPath, 'leaders', identity], {
    onOutput: (text) => void lines.push(...text.split('\n').filter((line) => line !== '')),
  });
  children.push(child);
  return { child, lines };
}

const has = (lines: readonly string[], text: string): boolean => lines.some((line) => line.includes(text));

/** Who made each Secret, in the order in which the API server wrote them. */
async function writers(): Promise<string[]> {
  const text = await controlPlane.kubectl('get', 'secret', '-n', 'leaders', '-o', 'json');
  const { items } = JSON.parse(text) as { items: { metadata: { name: string; resourceVersion: string } }[] };
  const ordered = items.toSorted((left, right) => Number(left.metadata.resourceVersion) - Number(right.metadata.resourceVersion));
  return ordered.map(({ metadata }) => metadata.name.split('-')[0] ?? '');
}

it('a leader that was stopped for longer than its lease writes nothing more when it goes on', async () => {
  const first = start('first');
  await eventually(() => has(first.lines, '"leading"'), { withinMs: 90_000 });
  const second = start('second');
  await eventually(async () => (await writers()).length > 10, { withinMs: 90_000 });
  first.child.signal('SIGSTOP');
  await eventually(() => has(second.lines, '"leading"'), { withinMs: 90_000 });
  await eventually(async () => (await writers()).filter((writer) => writer === 'second').length > 10, { withinMs: 90_000 });
  first.child.signal('SIGCONT');
  await eventually(() => has(first.lines, '"lost"'), { withinMs: 90_000 });
  // It hands over again by itself when the second one ends, so it was not merely dead.
  await second.child.stop();
  await eventually(() => first.lines.filter((line) => line.includes('"leading"')).length === 2, { withinMs: 90_000 });
  await eventually(async () => (await writers()).at(-1) === 'first', { withinMs: 90_000 });
  // Three terms, one after the other.
  const terms = (await writers()).filter((writer, index, all) => writer !== all[index - 1]);
  expect(terms).toEqual(['first', 'second', 'first']);
}, 300_000);
