import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { readValues } from './read-values.ts';

test('finds every value of the chart with the default that Helm reads', () => {
  const values: unknown = parse(readFileSync('charts/keywright/values.yaml', 'utf8'));
  const found = readValues().filter((value) => value.default !== '');
  expect(Object.fromEntries(found.map((value) => [value.path, parse(value.default)]))).toEqual(
    flatten(values, '', new Set(found.map(({ path }) => path))),
  );
});

test('takes the comments above a value as its meaning', () => {
  expect(readValues('# no\na:\n  # -- one\n  # -- two\n  b: 1\n  c: {}\n')).toEqual([
    { path: 'a.b', default: '1', meaning: 'one two' },
    { path: 'a.c', default: '{}', meaning: '' },
  ]);
});

/** a map that is written on one line is one value */
function flatten(value: unknown, path: string, whole: ReadonlySet<string>): Record<string, unknown> {
  if (whole.has(path) || typeof value !== 'object' || value === null || Array.isArray(value)) return { [path]: value };
  const parts = Object.entries(value).map(([key, below]) => flatten(below, path === '' ? key : `${path}.${key}`, whole));
  return Object.assign({}, ...parts) as Record<string, unknown>;
}
