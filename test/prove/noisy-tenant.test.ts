import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startFleet } from './fleet.ts';
import { noisyKeys, proveNoisyTenant, untilNoiseIsSeen } from './noisy-tenant.ts';

/**
 * `make prove-noisy-tenant`: the figures are told and no test, how fast a machine is decides them. (`make test` runs the same with few rounds.)
 */
const rounds = Number(process.env['KEYWRIGHT_PROVE_ROUNDS'] ?? '100');
const atOnce = Number(process.env['KEYWRIGHT_PROVE_EDITS_AT_ONCE'] ?? '4');

it.each([
  ['with Redis', true],
  ['by the snapshot alone', false],
])(
  `${noisyKeys} VirtualKeys as large as they can be, edited without a pause, beside another tenant: %s`,
  async (what, withRedis) => {
    const fleet = await startFleet([join(import.meta.dirname, '..', '..', 'bin', 'keywright')]);
    try {
      const report = await proveNoisyTenant(fleet, { rounds, atOnce, withRedis });
      process.stdout.write(`${what}: ${JSON.stringify(report)}\n`);
      await untilNoiseIsSeen(fleet);
      expect(report.noise.edits).toBeGreaterThan(noisyKeys);
    } finally {
      await fleet.stop();
    }
  },
  1_800_000,
);
