/** One place where a bug is planted. */
export interface Edit {
  /** from the root of the project */
  readonly file: string;
  /** stands in the file exactly once; short, so that formatting does not tear it */
  readonly find: string;
  readonly replace: string;
}

/** A bug that some test must catch. */
export interface Mutation {
  readonly id: string;
  /** what goes wrong, in one line */
  readonly bug: string;
  /** more than one where a second line of defence would hide the bug */
  readonly edits: readonly Edit[];
  /** the test that must fail, as vitest prints it: file, then describes and title with ` > ` between them */
  readonly test: { readonly file: string; readonly name: string };
}

export type Planted = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly message: string };

/** The text of `edit.file` with the bug in it. Refuses a place that is missing, met twice, or would stay as it is: the bug would then not be the one that is meant. */
export function plant(text: string, { file, find, replace }: Edit): Planted {
  const count = text.split(find).length - 1;
  if (count !== 1) return { ok: false, message: `${file} has ${count} times what is to be replaced: ${find}` };
  if (find === replace) return { ok: false, message: `${file} would stay as it is` };
  return { ok: true, text: text.replace(find, () => replace) };
}

export type TestStatus = 'passed' | 'failed' | 'absent';

export type Verdict = 'caught' | 'survived' | 'no such test' | 'fails without the bug' | 'not run';

/** What the two runs of the named test mean: without the bug and with it (`absent`: the test file could not even be loaded, or ran out of time, which catches nothing). */
export function toVerdict(without: TestStatus, withBug: TestStatus): Verdict {
  if (without === 'absent') return 'no such test';
  if (without === 'failed') return 'fails without the bug';
  if (withBug === 'absent') return 'not run';
  return withBug === 'failed' ? 'caught' : 'survived';
}

/** The rows of docs/mutations.md. */
export function toMutationRows(mutations: readonly Mutation[]): string[] {
  const rows = mutations.map(({ id, bug, edits, test }) => {
    const files = [...new Set(edits.map(({ file }) => `\`${file}\``))].join(', ');
    return `| \`${id}\` | ${bug} | ${files} | \`${test.file}\`: ${toCell(test.name)} |`;
  });
  return ['| id | bug | planted in | caught by |', '| --- | --- | --- | --- |', ...rows];
}

function toCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}
