import { afterAll, beforeAll, expect, it } from 'vitest';
import { untilHolds } from '../support/eventually.ts';
import { channelManifests, type Installation, startInstallation, virtualKey } from './installation.ts';
import { chat } from './key-objects.ts';
import { proveRotation, readRotated } from './rotation-load.ts';

let installation: Installation;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 3 });
});
afterAll(async () => {
  await installation?.stop();
});

it('three rotations under load: no live key is refused, no old one accepted after its end', async () => {
  const options = { rotations: 3, requestsPerSecond: 40, overlapSeconds: 6, kills: false, random: Math.random };
  const report = await proveRotation(installation, options);
  process.stdout.write(`rotation: ${JSON.stringify(report)}\n`);
  expect(report).toMatchObject({ rotations: 3, refused: {}, lateAcceptances: 0 });
  expect(report.retiringRequests).toBeGreaterThan(20);
  expect(report.afterEnd['401']).toBeGreaterThan(20);
  const { status } = await readRotated(installation);
  expect(status).toMatchObject({ phase: 'Active', lastHandledTrigger: '3' });
  expect(status?.lastRotationTime).toBeDefined();
}, 300_000);

it('limits count on through a rotation and through another VirtualKey of the same name', async () => {
  const [proxy] = installation.proxies;
  if (proxy === undefined) throw new Error('no proxy');
  const spec = (trigger: string) => `{ limits: { rpd: 5 }, rotation: { trigger: "${trigger}" } }`;
  const untilAnother = (before: string) => untilHolds(async () => expect(await installation.deliveredKey('counted')).not.toBe(before));
  const spend = async (key: string, times: number): Promise<number[]> => {
    const statuses: number[] = [];
    for (let call = 0; call < times; call += 1) statuses.push((await chat(proxy, key)).status);
    return statuses;
  };
  await installation.apply(channelManifests(installation.provider));
  await installation.apply(virtualKey('counted', spec('1')));
  const first = await installation.deliveredKey('counted');
  await untilHolds(async () => expect(await spend(first, 1)).toEqual([200]));
  expect(await spend(first, 1)).toEqual([200]);
  await installation.apply(virtualKey('counted', spec('2')));
  await untilAnother(first);
  const second = await installation.deliveredKey('counted');
  expect(await spend(second, 4)).toEqual([200, 200, 200, 429]);
  expect(await spend(first, 1)).toEqual([429]);
  await installation.kubectl('delete', 'vk', 'counted', '--wait=false');
  // this test's own control plane has no garbage collector
  await installation.kubectl('delete', 'secret', 'counted-virtualkey');
  await installation.apply(virtualKey('counted', spec('1')));
  await untilAnother(second);
  expect(await spend(await installation.deliveredKey('counted'), 1)).toEqual([429]);
}, 120_000);
