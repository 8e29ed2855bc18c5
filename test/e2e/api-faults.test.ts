import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Installation, startInstallation } from './installation.ts';
import { proveRestarts } from './restarts.ts';

let installation: Installation;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 2 });
});
afterAll(async () => {
  await installation?.stop();
});

it('an API server that is killed under load, twice, once with its history compacted, loses and doubles no key', async () => {
  const report = await proveRestarts(installation, { restarts: 2, keysEach: 20 });
  expect(report.requests).toBeGreaterThan(50);
  expect(report.expired).toBeGreaterThan(0);
}, 300_000);
