import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mutations } from '../mutations/mutations.ts';
import { plant, toMutationRows, toVerdict } from '../mutations/plant.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

describe('the planted bugs', () => {
  it('have each an id of its own and a test file that exists', () => {
    expect(new Set(mutations.map(({ id }) => id)).size).toBe(mutations.length);
    expect(mutations.filter(({ test }) => !existsSync(join(root, test.file)))).toEqual([]);
  });

  // the code has moved on: give the bug its new place in its file of test/mutations/
  it.each(mutations.map(({ id, edits }) => ({ id, edits })))('$id can be planted', ({ edits }) => {
    for (const edit of edits) expect(plant(read(edit.file), edit)).toMatchObject({ ok: true });
  });

  it('are those of docs/mutations.md: run `make generate`', () => {
    const page = read('docs/mutations.md');
    const table = page.slice(
      page.indexOf('<!-- table: mutations -->\n') + '<!-- table: mutations -->\n'.length,
      page.indexOf('\n<!-- end -->'),
    );
    expect(table.split('\n')).toEqual(toMutationRows(mutations));
  });
});

describe('planting', () => {
  const edit = { file: 'x.ts', find: 'a < b', replace: "$& $' b < a" };

  it('replaces the one place, literally', () => {
    expect(plant('if (a < b) c();', edit)).toEqual({ ok: true, text: "if ($& $' b < a) c();" });
  });

  it.each([
    ['missing', 'if (a > b) c();', edit],
    ['there twice', 'a < b; a < b', edit],
    ['not changed', 'a < b', { ...edit, replace: edit.find }],
  ])('refuses a place that is %s', (_what, text, wrong) => {
    expect(plant(text, wrong)).toMatchObject({ ok: false, message: expect.stringContaining('x.ts') });
  });
});

it.each([
  ['passed', 'failed', 'caught'],
  ['passed', 'passed', 'survived'],
  ['passed', 'absent', 'not run'],
  ['failed', 'failed', 'fails without the bug'],
  ['absent', 'absent', 'no such test'],
] as const)('a test that has %s without the bug and %s with it: %s', (without, withBug, verdict) => {
  expect(toVerdict(without, withBug)).toBe(verdict);
});
