import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestStatus } from './plant.ts';

export interface NamedTest {
  readonly file: string;
  readonly name: string;
}

export interface TestRun {
  statusOf(test: NamedTest): TestStatus;
  /** why it failed: the first line of the failure, or what the runner said last */
  reasonOf(test: NamedTest): string;
}

interface Result {
  readonly status: TestStatus;
  readonly reason: string;
}

const running = new Set<number>();

/** Runs these tests alone, in a copy of the project. A run that takes longer than `withinMs` is ended, with everything it has started, and has no results. */
export async function runTests(directory: string, tests: readonly NamedTest[], withinMs: number): Promise<TestRun> {
  const report = join(directory, 'node_modules', '.mutations.json');
  rmSync(report, { force: true });
  const files = [...new Set(tests.map(({ file }) => file))];
  const names = [...new Set(tests.map(({ name }) => `^${escapePattern(name)}$`))];
  const said = await runVitest(directory, [...files, '--reporter=json', `--outputFile=${report}`, '-t', names.join('|')], withinMs);
  const results = existsSync(report) ? readReport(directory, report) : new Map<string, Result>();
  const find = ({ file, name }: NamedTest): Result => results.get(`${file} ${name}`) ?? { status: 'absent', reason: said };
  return { statusOf: (test) => find(test).status, reasonOf: (test) => find(test).reason };
}

/** Ends what still runs: for a harness that is interrupted. */
export function endRuns(): void {
  for (const group of running) kill(group);
}

/** Gives the end of what it wrote. */
function runVitest(directory: string, parameters: readonly string[], withinMs: number): Promise<string> {
  const program = join(directory, 'node_modules', 'vitest', 'vitest.mjs');
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = '';
  const child = spawn(process.execPath, [program, 'run', ...parameters], {
    cwd: directory,
    env: toEnvironment(directory),
    // a group of its own, so that workers and servers that the tests start end with it
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const group = child.pid;
  if (group !== undefined) running.add(group);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    if (group !== undefined) kill(group);
  }, withinMs);
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => void (text = (text + part).slice(-4_000)));
  child.on('error', (error) => void (text += error.message));
  child.on('close', () => {
    clearTimeout(timer);
    if (group !== undefined) running.delete(group);
    resolve(timedOut ? `took longer than ${withinMs / 1000} s` : text.trim());
  });
  return promise;
}

function toEnvironment(directory: string): NodeJS.ProcessEnv {
  const bin = [join('node_modules', 'node', 'bin'), join('node_modules', '.bin')].map((path) => join(directory, path));
  return { ...process.env, KEYWRIGHT_TEST_REPORT: undefined, PATH: [...bin, process.env['PATH'] ?? ''].join(delimiter), NO_COLOR: '1' };
}

/** A name is a pattern for the runner. */
function escapePattern(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
}

function readReport(directory: string, path: string): Map<string, Result> {
  const { testResults } = JSON.parse(readFileSync(path, 'utf8')) as {
    testResults: {
      name: string;
      assertionResults: { ancestorTitles: string[]; title: string; status: string; failureMessages: string[] }[];
    }[];
  };
  const results = new Map<string, Result>();
  for (const { name, assertionResults } of testResults) {
    for (const { ancestorTitles, title, status, failureMessages } of assertionResults) {
      if (status !== 'passed' && status !== 'failed') continue;
      const file = name.slice(name.indexOf(directory) + directory.length + 1);
      results.set(`${file} ${[...ancestorTitles, title].join(' > ')}`, { status, reason: failureMessages[0]?.split('\n')[0] ?? '' });
    }
  }
  return results;
}

function kill(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // it has ended by itself
  }
}
