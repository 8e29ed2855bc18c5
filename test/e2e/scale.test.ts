import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Fleet, startFleet } from '../prove/fleet.ts';
import { proveScale } from '../prove/scale.ts';
import { toScaleTable } from '../prove/scale-table.ts';

/** `make prove-scale` in short: what does not depend on the machine holds with few keys too, and the proof itself cannot rot. */
let fleet: Fleet;

beforeAll(async () => {
  fleet = await startFleet([join(import.meta.dirname, '..', '..', 'bin', 'keywright')]);
}, 180_000);
afterAll(async () => {
  await fleet?.stop();
});

it('keys become Ready and enforced, at rest and after a restart nothing is written, and a restart does not read them one by one', async () => {
  const result = await proveScale(fleet, { keys: 200, namespaces: 10, edits: 3, restMs: 3_000, tell: () => undefined });
  expect(result).toMatchObject({ keys: 200, writesPerMinuteAtRest: 0, restart: { writes: 0 } });
  expect(result.restart.reads).toBeLessThan(20);
  expect(result.snapshotKiB).toBeGreaterThan(10);
  for (const value of [result.operatorRestMiB, result.proxyMiB, result.suspension.maxMs, result.edit.maxMs])
    expect(value).toBeGreaterThan(0);
  const table = toScaleTable({
    at: '2026-01-01',
    machine: { cores: 2, processor: 'p', memoryGiB: 8, node: 'v24.0.0' },
    bareNodeMiB: 70,
    results: [result],
  });
  expect(table).not.toMatch(/undefined|NaN|\[object/);
}, 240_000);
