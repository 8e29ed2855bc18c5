import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';

export type Row = readonly [what: string, figure: string];

const page = join(import.meta.dirname, '..', '..', 'docs', 'limits.md');
const marks = /<!-- measured budgets -->[\s\S]*<!-- end of measured budgets -->/;

/** Writes the table of the documentation anew. */
export function publishBudgets(rows: readonly Row[]): void {
  const text = readFileSync(page, 'utf8');
  if (!marks.test(text)) throw new Error(`${page} has no place for the table`);
  const table = [
    `Measured on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores, Node ${process.version.slice(1)}; everything on one machine.`,
    '',
    '| what | figure |',
    '| --- | --- |',
    ...rows.map(([what, figure]) => `| ${what} | ${figure} |`),
  ].join('\n');
  writeFileSync(
    page,
    text.replace(marks, () => `<!-- measured budgets -->\n${table}\n<!-- end of measured budgets -->`),
  );
}
