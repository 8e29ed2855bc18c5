import { join } from 'node:path';
import { makeTemporaryDirectory, runCommand } from './child.ts';
import type { ControlPlane } from './control-plane.ts';

const tool = join(import.meta.dirname, '..', 'tools', 'helm.sh');

/** Runs a real Helm against that API server; gives its output or fails with what it said. */
export async function makeHelm(controlPlane: ControlPlane, major: 3 | 4 = 4): Promise<(...words: string[]) => Promise<string>> {
  const program = (await runCommand('bash', [tool, '--find', String(major)])).trim();
  const home = makeTemporaryDirectory('helm');
  const environment = { PATH: process.env['PATH'], HOME: home, KUBECONFIG: controlPlane.kubeconfigPath };
  return (...words) => runCommand(program, words, { environment });
}
