import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Installation, startInstallation } from '../e2e/installation.ts';
import { proveRotation, shortLease } from '../e2e/rotation-load.ts';

const rotations = Number(process.env['KEYWRIGHT_PROVE_ROUNDS'] ?? '20');
const requestsPerSecond = Number(process.env['KEYWRIGHT_PROVE_RATE'] ?? '200');

it.each([
  ['undisturbed', false],
  ['with the leading operator killed at a random moment of each', true],
])(
  `${rotations} rotations under ${requestsPerSecond} requests a second, %s`,
  async (_, kills) => {
    const report = await proveRotation(installation, { rotations, requestsPerSecond, overlapSeconds: 4, kills, random: Math.random });
    process.stdout.write(`rotation, kills ${kills}: ${JSON.stringify(report)}\n`);
    expect(report).toMatchObject({ rotations, refused: {}, lateAcceptances: 0 });
  },
  3_600_000,
);

let installation: Installation;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 3, operator: shortLease });
});
afterAll(async () => {
  await installation?.stop();
});
