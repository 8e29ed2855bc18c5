import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Installation, startInstallation } from '../e2e/installation.ts';
import { proveRestarts } from '../e2e/restarts.ts';

const restarts = Number(process.env['KEYWRIGHT_PROVE_ROUNDS'] ?? '10');
let installation: Installation;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 3 });
});
afterAll(async () => {
  await installation?.stop();
});

it(`an API server that is killed under load, ${restarts} times, loses and doubles no key`, async () => {
  const report = await proveRestarts(installation, { restarts, keysEach: 60 });
  process.stdout.write(`api-faults: ${JSON.stringify(report)}\n`);
  expect(report.expired).toBeGreaterThan(0);
}, 3_600_000);
