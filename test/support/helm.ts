import { findHelm } from './chart.ts';
import { makeTemporaryDirectory, runCommand } from './child.ts';
import type { ControlPlane } from './control-plane.ts';

/** Runs a real Helm against that API server; gives its output or fails with what it said. */
export async function makeHelm(controlPlane: ControlPlane, major: 3 | 4 = 4): Promise<(...words: string[]) => Promise<string>> {
  const program = await findHelm(major);
  const home = makeTemporaryDirectory('helm');
  const environment = { PATH: process.env['PATH'], HOME: home, KUBECONFIG: controlPlane.kubeconfigPath };
  return (...words) => runCommand(program, words, { environment });
}
