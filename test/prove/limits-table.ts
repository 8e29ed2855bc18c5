import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { LimitsResult, Scenario, ScenarioResult } from './limits-run.ts';

interface Measured {
  readonly at: string;
  readonly machine: string;
  /** one of each mode, the last */
  readonly runs: readonly LimitsResult[];
}

const root = join(import.meta.dirname, '..', '..');
const file = join(root, 'bench', 'limits.json');
const page = join(root, 'docs', 'limits.md');

/** Keeps the result and writes the table of the documentation anew. */
export function publish(result: LimitsResult): void {
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Measured).runs : [];
  const runs = [...before.filter(({ mode }) => mode !== result.mode), result].toSorted((left, right) =>
    right.mode.localeCompare(left.mode),
  );
  const [processor] = cpus();
  const machine = `${cpus().length} cores (${processor?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version.slice(1)}`;
  const measured: Measured = { at: new Date().toISOString().slice(0, 10), machine, runs };
  mkdirSync(join(root, 'bench'), { recursive: true });
  writeFileSync(file, `${JSON.stringify(measured, undefined, 2)}\n`);
  const text = readFileSync(page, 'utf8');
  const marks = /<!-- measured limits -->[\s\S]*<!-- end of measured limits -->/;
  if (!marks.test(text)) throw new Error(`${page} has no place for the table`);
  writeFileSync(
    page,
    text.replace(marks, () => `<!-- measured limits -->\n${toTable(measured)}\n<!-- end of measured limits -->`),
  );
}

function toTable({ at, machine, runs }: Measured): string {
  const heads = runs.flatMap(({ mode }) => [`${mode}: most ÷ limit`, 'utilisation']);
  const scenarios = runs[0]?.scenarios.map(({ scenario }) => scenario) ?? [];
  const row = (what: string, show: (run: LimitsResult) => string | number): string =>
    `| ${what} | ${runs.map((run) => `${show(run)} | `).join('| ')}|`;
  const cells = ({ name }: Scenario, run: LimitsResult): string => {
    const found = run.scenarios.find(({ scenario }) => scenario.name === name);
    return found === undefined ? ' | ' : `${ratioOf(found).toFixed(3)} | ${found.utilisation.toFixed(3)}`;
  };
  return [
    `Measured on ${at}: ${machine}; three proxies, Redis, API server, operator, provider and clients all on them. ${runs.map(({ mode, minutes, scenarios: of }) => `${mode}: ${minutes} minutes, ${total(of).toLocaleString('en')} admitted requests`).join('; ')}.`,
    '',
    `| limit, clients | ${heads.join(' | ')} |`,
    `| --- |${heads.map(() => ' --- |').join('')}`,
    ...scenarios.map((scenario) => `| ${describe(scenario)} | ${runs.map((run) => cells(scenario, run)).join(' | ')} |`),
    row('blocking calls of Redis per admitted request, those of refused ones included', ({ blockingPerAdmitted }) => blockingPerAdmitted),
    row('all calls of Redis per admitted request', ({ scriptsPerAdmitted }) => scriptsPerAdmitted),
    row('µs of Redis in scripts per admitted request', ({ redisMicrosPerAdmitted }) => redisMicrosPerAdmitted),
    row('answers of Redis that came later than 250 ms', ({ lateAnswers }) => lateAnswers),
  ].join('\n');
}

function describe({ unit, limit, manner }: Scenario): string {
  const field = { requests: 'rpm', tokens: 'tpm', concurrency: 'concurrency' }[unit];
  return `${field} ${limit.toLocaleString('en')}, ${manner}`;
}

function ratioOf({ most, scenario }: ScenarioResult): number {
  return most / scenario.limit;
}

function total(results: readonly ScenarioResult[]): number {
  return results.reduce((sum, { admitted }) => sum + admitted, 0);
}
