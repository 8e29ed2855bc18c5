import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const program = join(import.meta.dirname, '..', 'bin', 'keywright');
const directory = mkdtempSync(join(tmpdir(), 'keywright-test-bin-'));
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function run(path: string, ...args: string[]): { code: number | null; output: string; errors: string } {
  const { status, stdout, stderr } = spawnSync(path, args, { encoding: 'utf8' });
  return { code: status, output: stdout, errors: stderr };
}

test('version and help answer on standard output', () => {
  expect(run(program, 'version')).toEqual({ code: 0, output: '0.1.0\n', errors: '' });
  const help = run(program, '--help');
  expect(help.code).toBe(0);
  for (const name of ['proxy', 'operator', 'standalone', 'lint']) expect(help.output).toMatch(new RegExp(`^ {2}${name} `, 'm'));
});

test.each([
  [['bogus'], 'there is no command "bogus"'],
  [[], 'a command is missing'],
  [['__proto__'], 'there is no command "__proto__"'],
])('%j is a mistake with the list, exit code 64', (args, message) => {
  const { code, output, errors } = run(program, ...args);
  expect([code, output]).toEqual([64, '']);
  expect(errors).toContain(message);
  expect(errors).toContain('standalone');
});

test('it finds itself through a chain of symbolic links, under the name of a kubectl plugin', () => {
  symlinkSync(program, join(directory, 'link'));
  symlinkSync('link', join(directory, 'kubectl-keywright'));
  expect(run(join(directory, 'kubectl-keywright'), 'version').output).toBe('0.1.0\n');
});
