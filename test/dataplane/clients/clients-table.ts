import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withTable } from '../../../docs/with-table.ts';
import { type Client, clients } from './clients.ts';
import type { Result } from './judge.ts';
import { nameOf } from './methods.ts';
import { nameOfCase, type RefusalCase, refusalCases } from './refusal-cases.ts';

const page = join(import.meta.dirname, '../../../docs/clients.md');

/** What the page says now, and what a run has seen. */
export function toPages(results: readonly Result[]): { readonly before: string; readonly after: string } {
  const before = readFileSync(page, 'utf8');
  const tables: Readonly<Record<string, string[]>> = {
    methods: toMethods(results),
    exceptions: toExceptions(results),
    all: toAll(results),
  };
  const after = Object.entries(tables).reduce((text, [name, lines]) => withTable(text, name, lines), before);
  return { before, after };
}

export function writePage(text: string): void {
  writeFileSync(page, text);
}

function toTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}

const passed = ({ problems }: Result): boolean => problems.length === 0;

/** A row for each method of each client: is it served, and are all of its refusals what they should be? */
function toMethods(results: readonly Result[]): string[] {
  const rows = byMethod(results).map(([client, method, of]) => {
    const served = of.filter(({ cell }) => cell.refusal === undefined);
    const refused = of.filter(({ cell }) => cell.refusal !== undefined);
    const mark = served.every(passed) ? 'pass' : '**fail**';
    return [client, `\`${method}\``, served.length === 0 ? 'not offered' : mark, `${refused.filter(passed).length} of ${refused.length}`];
  });
  return toTable(['client', 'method', 'served', 'refusals that pass'], rows);
}

function byMethod(results: readonly Result[]): (readonly [client: string, method: string, Result[]])[] {
  return clients.flatMap((client) => {
    const own = results.filter(({ cell }) => cell.client === client);
    return [...Map.groupBy(own, ({ cell }) => nameOf(cell.method))].map(([method, of]) => [toTitle(client), method, of] as const);
  });
}

const toTitle = ({ sdk, version, language, apiVersion, family }: Client): string =>
  `${sdk} ${version} (${language}${family === 'azure' ? ', `AzureOpenAI`' : ''}${family === 'gemini' ? `, ${apiVersion}` : ''})`;

/** A row for each refusal: what a program catches, and how many requests its SDK has sent until then. */
function toExceptions(results: readonly Result[]): string[] {
  const rows = refusalCases.map((refusal) => [nameOfCase(refusal), ...clients.map((client) => toException(results, client, refusal))]);
  return toTable(['refusal', ...clients.map(toTitle)], rows);
}

function toException(results: readonly Result[], client: Client, refusal: RefusalCase): string {
  const own = results.filter(({ cell }) => cell.client === client && cell.refusal === refusal);
  const seen = own.map(
    ({ exception, status, requests }) =>
      `${exception === undefined ? 'the event `error`' : `\`${exception}\``}${status === undefined ? '' : ` ${status}`}${requests === 1 ? '' : `, ${requests} requests`}`,
  );
  return [...new Set(seen)].join('; ');
}

/** For each client a table of its own: refusals by methods, each with the requests that were sent. */
function toAll(results: readonly Result[]): string[] {
  return clients.flatMap((client) => {
    const own = results.filter(({ cell }) => cell.client === client && cell.method.by !== 'nobody');
    const columns = [...new Set(own.map(({ cell }) => nameOf(cell.method)))];
    const rows = [undefined, ...refusalCases]
      .filter((refusal) => own.some(({ cell }) => cell.refusal === refusal))
      .map((refusal) => [
        refusal === undefined ? 'served' : nameOfCase(refusal),
        ...columns.map((method) => toMark(own.find(({ cell }) => cell.refusal === refusal && nameOf(cell.method) === method))),
      ]);
    return [`### ${toTitle(client)}`, '', ...toTable(['', ...columns.map((name) => `\`${name}\``)], rows), ''];
  });
}

function toMark(result: Result | undefined): string {
  if (result === undefined) return '–';
  return passed(result) ? `pass (${result.requests})` : `**fail** (${result.requests})`;
}
