/**
 * `node test/prove/prove-scale.ts [KEYS…]`: the control plane with so many VirtualKeys (10,000 and 20,000) on a real API server. Writes `docs/scale.md` and `bench/scale.json` when both were run.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { buildProgram } from './build.ts';
import { bareNodeMiB, startFleet } from './fleet.ts';
import { proveScale, type ScaleResult } from './scale.ts';
import { toScaleTable } from './scale-table.ts';

const root = join(import.meta.dirname, '..', '..');
const usual = [10_000, 20_000];
const chosen = process.argv.slice(2).map(Number);
const tell = (what: string): void => void process.stdout.write(`${new Date().toISOString()} ${what}\n`);

const command = await buildProgram();
const bareMiB = await bareNodeMiB(command[0]);
const results: ScaleResult[] = [];
for (const keys of chosen.length > 0 ? chosen : usual) {
  const fleet = await startFleet(command);
  try {
    results.push(await proveScale(fleet, { keys, namespaces: 100, edits: 100, restMs: 60_000, tell }));
  } finally {
    await fleet.stop();
  }
}
const [first] = cpus();
const machine = {
  cores: cpus().length,
  processor: first?.model ?? 'unknown',
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
};
const measured = { at: new Date().toISOString().slice(0, 10), machine, bareNodeMiB: bareMiB, results };
process.stdout.write(`${JSON.stringify(measured, undefined, 2)}\n`);
if (usual.every((keys) => results.some((result) => result.keys === keys))) {
  mkdirSync(join(root, 'bench'), { recursive: true });
  writeFileSync(join(root, 'bench', 'scale.json'), `${JSON.stringify(measured, undefined, 2)}\n`);
  const path = join(root, 'docs', 'scale.md');
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace(
      /<!-- measured -->[\s\S]*<!-- end -->/,
      () => `<!-- measured -->\n${toScaleTable(measured)}\n<!-- end -->`,
    ),
  );
}
