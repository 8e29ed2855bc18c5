import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Fleet, startFleet } from '../prove/fleet.ts';
import { noisyKeys, proveNoisyTenant, untilNoiseIsSeen } from '../prove/noisy-tenant.ts';

/** `make prove-noisy-tenant` in short. How fast things are is not tested: a machine that is slow, or busy with others, is no failure. */
let fleet: Fleet;

beforeAll(async () => {
  fleet = await startFleet([join(import.meta.dirname, '..', '..', 'bin', 'keywright')]);
}, 180_000);
afterAll(async () => {
  await fleet?.stop();
});

it('40 VirtualKeys as large as they can be, edited without a pause, leave others their turn and the API server its rest', async () => {
  const rounds = 5;
  const { alone, beside, noise } = await proveNoisyTenant(fleet, { rounds, atOnce: 4, withRedis: true });
  process.stdout.write(`${JSON.stringify({ alone, beside, noise })}\n`);
  expect(noise.edits).toBeGreaterThan(noisyKeys);
  // What ends a key waits for nothing, not even for the 200 ms in which other changes are gathered.
  expect(beside.suspension.p50Ms).toBeLessThan(beside.edit.p50Ms);
  expect(beside.revocation.p50Ms).toBeLessThan(beside.edit.p50Ms);
  // However fast the tenant edits: of each of his keys a burst, and then one look a second and a status every few seconds. Beside them the quiet keys' own, and Events.
  const { seconds, statuses, shards } = noise;
  expect(statuses).toBeLessThan(noisyKeys * (5 + seconds / 2) + 10 * rounds + 25 + 5 * seconds);
  expect(shards).toBeLessThan(noisyKeys * (12 + seconds) + 10 * rounds);
  await untilNoiseIsSeen(fleet);
}, 300_000);
