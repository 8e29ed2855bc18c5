/**
 * `node test/mutations/run.ts [--why] [id…]` plants each known bug in a copy of the project and demands that the test named for it fails, and passes without it.
 * Exits 1 when a bug survives, when a place to plant it is not there exactly once, or when the named test does not exist. `--why` shows what each failing test said.
 */
import { join } from 'node:path';
import { type Copy, makeCopy } from './copy.ts';
import { mutations } from './mutations.ts';
import { type Mutation, toVerdict } from './plant.ts';
import { endRuns, runTests, type TestRun } from './run-tests.ts';

const root = join(import.meta.dirname, '..', '..');
const withinMs = 120_000;
/** all named tests together, once */
const allWithinMs = 300_000;
const parameters = process.argv.slice(2);
const why = parameters.includes('--why');

interface Row {
  readonly mutation: Mutation;
  readonly verdict: string;
  readonly reason: string;
}

process.exitCode = await main(parameters.filter((parameter) => parameter !== '--why'));

async function main(ids: readonly string[]): Promise<number> {
  const unknown = ids.filter((id) => !mutations.some((mutation) => mutation.id === id));
  if (unknown.length > 0) return complain(`no such bug: ${unknown.join(', ')}\nthere are: ${mutations.map(({ id }) => id).join(', ')}`);
  const chosen = ids.length === 0 ? mutations : mutations.filter(({ id }) => ids.includes(id));
  // tests flush a Redis that is given to them, so two runs cannot share it
  const workers = Math.min(process.env['REDIS_URL'] ? 1 : 2, chosen.length);
  const copies: Copy[] = [];
  process.on('exit', () => {
    endRuns();
    for (const copy of copies) copy.remove();
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
  while (copies.length < workers) copies.push(makeCopy(root));
  const [first] = copies;
  if (first === undefined) return complain('no bugs');
  const without = await runTests(
    first.directory,
    chosen.map(({ test }) => test),
    allWithinMs,
  );
  const rows: Row[] = [];
  const queue = [...chosen];
  const work = async (copy: Copy): Promise<void> => {
    for (let mutation = queue.shift(); mutation !== undefined; mutation = queue.shift()) {
      rows.push(await tryOne(copy, mutation, without));
      process.stderr.write(`${rows.length}/${chosen.length} ${mutation.id}: ${rows.at(-1)?.verdict}\n`);
    }
  };
  await Promise.all(copies.map(work));
  return report(chosen.flatMap((mutation) => rows.find((row) => row.mutation === mutation) ?? []));
}

async function tryOne(copy: Copy, mutation: Mutation, without: TestRun): Promise<Row> {
  const { edits, test } = mutation;
  const before = without.statusOf(test);
  if (before !== 'passed') return { mutation, verdict: toVerdict(before, 'absent'), reason: without.reasonOf(test) };
  const problem = copy.plant(edits);
  if (problem !== undefined) return { mutation, verdict: 'not planted', reason: problem };
  try {
    const run = await runTests(copy.directory, [test], withinMs);
    return { mutation, verdict: toVerdict(before, run.statusOf(test)), reason: run.reasonOf(test) };
  } finally {
    copy.restore(edits);
  }
}

function report(rows: readonly Row[]): number {
  const cells = rows.map(({ mutation: { id, edits, test }, verdict }) => [
    id,
    [...new Set(edits.map(({ file }) => file))].join(', '),
    `${test.file}: ${test.name}`,
    verdict === 'caught' ? 'yes' : 'NO',
  ]);
  const table = [['bug', 'planted in', 'test that catches it', 'caught'], ...cells];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  process.stdout.write(`${table.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')).join('\n')}\n`);
  for (const { mutation, verdict, reason } of rows) {
    if (why || verdict !== 'caught') process.stdout.write(`\n${mutation.id} (${mutation.bug}): ${verdict}\n  ${reason}\n`);
  }
  const missed = rows.filter(({ verdict }) => verdict !== 'caught').length;
  process.stdout.write(`\n${rows.length - missed} of ${rows.length} bugs are caught by the test that is named for them\n`);
  return missed === 0 ? 0 : 1;
}

function complain(message: string): number {
  process.stderr.write(`${message}\n`);
  return 1;
}
