import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Installation, startInstallation } from './installation.ts';
import { proveRotation, readRotated } from './rotation-load.ts';

let installation: Installation;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 3 });
});
afterAll(async () => {
  await installation?.stop();
});

it('three rotations under load: no live key is refused, no old one accepted after its end', async () => {
  const options = { rotations: 3, requestsPerSecond: 40, overlapSeconds: 3, kills: false, random: Math.random };
  const report = await proveRotation(installation, options);
  process.stdout.write(`rotation: ${JSON.stringify(report)}\n`);
  expect(report).toMatchObject({ rotations: 3, refused: {}, lateAcceptances: 0 });
  expect(report.retiringRequests).toBeGreaterThan(20);
  expect(report.afterEnd['401']).toBeGreaterThan(20);
  const { status } = await readRotated(installation);
  expect(status).toMatchObject({ phase: 'Active', lastHandledTrigger: '3' });
  expect(status?.lastRotationTime).toBeDefined();
}, 300_000);
