/**
 * `node test/prove/prove-scale.ts [KEYS…]`: the control plane with so many VirtualKeys (10,000 and 20,000) on a real API server. Writes `docs/scale.md` and `bench/scale.json`.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { buildProgram } from './build.ts';
import { bareNodeMiB, startFleet } from './fleet.ts';
import { proveScale, type ScaleResult } from './scale.ts';
import { type Measured, toScaleTable } from './scale-table.ts';

const root = join(import.meta.dirname, '..', '..');
const usual = [10_000, 20_000];
const chosen = process.argv.slice(2).map(Number);
const tell = (what: string): void => void process.stdout.write(`${new Date().toISOString()} ${what}\n`);

const [processor] = cpus();
const machine = {
  cores: cpus().length,
  processor: processor?.model ?? 'unknown',
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
};
const command = await buildProgram();
const bareMiB = await bareNodeMiB(command[0]);
for (const keys of chosen.length > 0 ? chosen : usual) {
  const fleet = await startFleet(command);
  try {
    report(await proveScale(fleet, { keys, namespaces: 100, edits: 100, restMs: 60_000, tell }));
  } finally {
    await fleet.stop();
  }
}

/** Each at once, because the next one takes long and may fail. Only the usual sizes go into the documentation, each as it was measured last. */
function report(result: ScaleResult): void {
  process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
  if (!usual.includes(result.keys)) return;
  const file = join(root, 'bench', 'scale.json');
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Measured).results : [];
  const results = [...before.filter(({ keys }) => keys !== result.keys), result].toSorted((left, right) => left.keys - right.keys);
  const measured: Measured = { at: new Date().toISOString().slice(0, 10), machine, bareNodeMiB: bareMiB, results };
  mkdirSync(join(root, 'bench'), { recursive: true });
  writeFileSync(file, `${JSON.stringify(measured, undefined, 2)}\n`);
  const path = join(root, 'docs', 'scale.md');
  const table = `<!-- measured -->\n${toScaleTable(measured)}\n<!-- end -->`;
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace(/<!-- measured -->[\s\S]*<!-- end -->/, () => table),
  );
}
