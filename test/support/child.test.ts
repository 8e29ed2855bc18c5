import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCommand, startChild } from './child.ts';
import { eventually } from './eventually.ts';

const childModule = join(import.meta.dirname, 'child.ts');

/** A process that starts a sleeper and makes a temporary directory through child.ts, tells both, and then waits to be killed. */
const parentCode = `
import { makeTemporaryDirectory, startChild } from ${JSON.stringify(childModule)};
const directory = makeTemporaryDirectory('watchdog');
const ended = startChild('true', []);
await ended.ended;
const sleeper = startChild('sleep', ['600']);
console.log(JSON.stringify({ pid: sleeper.pid, directory }));
setInterval(() => {}, 1000);
`;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('what a test process started ends with it, even after SIGKILL, and its directories go', async () => {
  const parent = spawn(process.execPath, ['--input-type=module-typescript', '--eval', parentCode], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(parent.stdout.setEncoding('utf8'), 'data')) as [string];
  const { pid, directory } = JSON.parse(line) as { pid: number; directory: string };
  expect([isAlive(pid), existsSync(directory)]).toEqual([true, true]);
  parent.kill('SIGKILL');
  await eventually(() => !isAlive(pid) && !existsSync(directory));
});

test('stop ends a process that ignores SIGTERM', async () => {
  const stubborn = startChild('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 0.05; done']);
  await eventually(() => stubborn.lastWords().includes('ready'));
  expect(await stubborn.stop(100)).toBe(null);
  expect(stubborn.running).toBe(false);
});

test('a program that does not exist is told by name', async () => {
  const child = startChild('keywright-no-such-program', []);
  await expect(child.ended).rejects.toThrow('cannot start keywright-no-such-program');
});

test('runCommand hands on input, and fails with what the command said', async () => {
  expect(await runCommand('cat', [], { input: 'hello' })).toBe('hello');
  await expect(runCommand('sh', ['-c', 'echo sorry >&2; exit 3'])).rejects.toThrow('ended with 3: sorry');
});
