import { cpSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../support/child.ts';

const root = join(import.meta.dirname, '..', '..');

/** Compiles the program as images hold it (from sources, Node would keep a compiler in memory) and gives the command that runs it. */
export async function buildProgram(): Promise<readonly [string, string]> {
  const directory = join(root, 'dist', 'prove');
  await runCommand(join(root, 'node_modules', '.bin', 'tsc'), ['-p', join(root, 'tsconfig.build.json'), '--outDir', directory]);
  for (const file of ['package.json', ...globSync('{proxy,runtime,crds}/**/*.{lua,yaml}', { cwd: root })])
    cpSync(join(root, file), join(directory, file));
  return [join(root, 'node_modules', 'node', 'bin', 'node'), join(directory, 'cli', 'keywright.js')];
}
