import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Call, Outcome } from './call.ts';
import type { Client } from './clients.ts';

const here = import.meta.dirname;

/** Prints why the SDKs of Python cannot be had and fails, where they cannot. */
export function findPython(): string {
  const script = join(here, '../../tools/python-sdks.sh');
  return execFileSync('bash', [script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
}

/** Lets every client make its calls, in one process for each version of an SDK and one for Python; gives what came of each by id. */
export async function makeCalls(calls: readonly (readonly [Client, Call])[], python: string): Promise<ReadonlyMap<string, Outcome>> {
  const groups = Map.groupBy(calls, ([client]) => (client.language === 'Python' ? 'Python' : (client.module ?? client.sdk)));
  const runs = [...groups].map(([group, members]) => {
    const own = members.map(([, call]) => call);
    return group === 'Python'
      ? run(python, [join(here, 'python_runner.py')], own)
      : run(process.execPath, [join(here, 'node-runner.ts'), group], own);
  });
  return new Map((await Promise.all(runs)).flat().map((outcome) => [outcome.id, outcome]));
}

async function run(command: string, words: readonly string[], calls: readonly Call[]): Promise<Outcome[]> {
  const child = spawn(command, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  child.stdin.on('error', () => {}); // it may end before it has read everything, and then says so
  child.stdin.end(`${calls.map((call) => JSON.stringify(call)).join('\n')}\n`);
  const outcomes: Outcome[] = [];
  for await (const line of createInterface({ input: child.stdout }))
    outcomes.push(JSON.parse(line, (_name, value: unknown) => value ?? undefined) as Outcome);
  const [code] = (await ended) as [number | null];
  if (code !== 0)
    throw new Error(`${command} ${words.join(' ')} ended with ${String(code)} after ${outcomes.length} of ${calls.length} calls`);
  return outcomes;
}
