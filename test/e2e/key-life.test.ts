import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilHolds } from '../support/eventually.ts';
import {
  type Installation,
  type RunningProcess,
  channelManifests,
  metric,
  startInstallation,
  untilReady,
  untilStatus,
  virtualKey,
} from './installation.ts';
import { readKey, untilEvents, untilKey } from './key-objects.ts';
import { findChanged, readVersions, untilQuiet } from './quiet.ts';

/** Far more than the way through operator, Redis and watches takes on a busy machine, far less than until anything is listed anew. How fast it is, `make prove-revocation` measures. */
const noticedMs = 20_000;

let installation: Installation;
let proxy: RunningProcess;

const withLimits =
  '{ displayName: Team search, limits: { rpm: 1000 }, access: { models: ["gpt-*"], cidrs: [127.0.0.0/8] }, expiresAt: "2099-01-01T00:00:00Z" }';

beforeAll(async () => {
  installation = await startInstallation({ proxies: 1 });
  const [first] = installation.proxies;
  if (first === undefined) throw new Error('no proxy');
  proxy = first;
  await installation.apply(channelManifests(installation.provider));
  const names = ['made-again', 'held', 'expiring', 'pausing'];
  await installation.apply([virtualKey('limited', withLimits), ...names.map((name) => virtualKey(name))].join('---\n'));
  await Promise.all([...names, 'limited'].map((name) => untilKey(installation, name, { ready: 'True', reason: 'Issued' })));
});
afterAll(async () => {
  await installation?.stop();
});

describe('the ends of a key', () => {
  it('a VirtualKey that is deleted and made again has a new key, and the old one stays refused', async () => {
    const before = await installation.deliveredKey('made-again');
    await untilStatus(proxy, before, 200);
    await installation.kubectl('delete', 'vk', 'made-again', '--wait=false');
    await installation.apply(virtualKey('made-again'));
    await untilStatus(proxy, before, 401);
    await untilKey(installation, 'made-again', { ready: 'False', reason: 'Issuing', phase: 'Pending' });
    expect(await installation.deliveredKey('made-again')).toBe(before);
    // this test's own control plane has no garbage collector: the former Secret goes by hand
    await installation.kubectl('delete', 'secret', 'made-again-virtualkey');
    await untilHolds(async () => expect(await installation.deliveredKey('made-again')).not.toBe(before));
    await untilStatus(proxy, await installation.deliveredKey('made-again'), 200);
    await untilStatus(proxy, before, 401);
    await untilKey(installation, 'made-again', { ready: 'True', reason: 'Issued', phase: 'Active' });
    expect((await readKey(installation, 'made-again')).status?.credentials).toHaveLength(1);
  });

  it('a VirtualKey that somebody’s finalizer holds is refused as soon as it is deleted', async () => {
    const key = await installation.deliveredKey('held');
    await installation.kubectl('patch', 'vk', 'held', '--type=merge', '-p', '{"metadata":{"finalizers":["example.com/hold"]}}');
    await untilStatus(proxy, key, 200);
    await installation.kubectl('delete', 'vk', 'held', '--wait=false');
    const deletedMs = Date.now();
    await untilStatus(proxy, key, 401);
    expect(Date.now() - deletedMs).toBeLessThan(noticedMs);
    expect((await readKey(installation, 'held')).metadata.deletionTimestamp).toBeDefined();
    await installation.kubectl('patch', 'vk', 'held', '--type=merge', '-p', '{"metadata":{"finalizers":null}}');
    await untilStatus(proxy, key, 401);
  });

  it('expiresAt in the past refuses, a later date lets in again; both are Ready', async () => {
    const key = await installation.deliveredKey('expiring');
    await installation.apply(virtualKey('expiring', '{ expiresAt: "2020-01-01T00:00:00Z" }'));
    await untilStatus(proxy, key, 401);
    await untilKey(installation, 'expiring', { ready: 'True', reason: 'Expired', phase: 'Expired' });
    await installation.apply(virtualKey('expiring', `{ expiresAt: "${new Date(Date.now() + 3_600_000).toISOString()}" }`));
    await untilStatus(proxy, key, 200);
    await untilKey(installation, 'expiring', { ready: 'True', reason: 'Issued', phase: 'Active' });
    await untilEvents(installation, 'expiring', /Normal\s+KeyExpired[^]*Warning\s+ExpiresSoon/);
    expect(await installation.deliveredKey('expiring')).toBe(key);
  });

  it('suspended refuses, resumed lets in, with the same key', async () => {
    const key = await installation.deliveredKey('pausing');
    const suspend = (value: boolean): Promise<string> =>
      installation.kubectl('patch', 'vk', 'pausing', '--type=merge', '-p', `{"spec":{"suspended":${value}}}`);
    await suspend(true);
    await untilStatus(proxy, key, 403);
    await untilKey(installation, 'pausing', { ready: 'True', reason: 'Suspended', phase: 'Suspended' });
    await suspend(false);
    await untilStatus(proxy, key, 200);
    await untilKey(installation, 'pausing', { ready: 'True', reason: 'Issued', phase: 'Active' });
    await untilEvents(installation, 'pausing', /Normal\s+KeySuspended/);
    expect(await installation.deliveredKey('pausing')).toBe(key);
  });

  it('a revoked key loses its plaintext in the delivery Secret', async () => {
    await installation.kubectl('patch', 'vk', 'pausing', '--type=merge', '-p', '{"spec":{"revoked":true}}');
    await untilKey(installation, 'pausing', { ready: 'True', reason: 'Revoked', phase: 'Revoked' });
    await untilHolds(async () => {
      const entries = await installation.kubectl('get', 'secret', 'pausing-virtualkey', '-o', 'jsonpath={.data}');
      expect(Object.keys(JSON.parse(entries) as object)).toEqual(['baseURL']);
    });
    await untilEvents(installation, 'pausing', /Normal\s+KeyRevoked/);
  });
});

describe('GitOps', () => {
  it('kubectl diff of what was applied finds nothing after the reconcile', async () => {
    await untilKey(installation, 'limited', { ready: 'True', reason: 'Issued' });
    const file = `${installation.directory}/limited.yaml`;
    writeFileSync(file, `${virtualKey('limited', withLimits)}---\n${channelManifests(installation.provider)}`);
    expect(await installation.kubectl('diff', '-f', file)).toBe('');
  });
});

describe('operators', () => {
  it('a second one stands by, and leads within seconds of the first one’s SIGTERM; neither start nor take-over writes anything', async () => {
    await untilQuiet(installation.operator);
    const before = await readVersions(installation);
    expect(before.size).toBeGreaterThan(10);
    const second = await installation.startOperator();
    await untilReady(second);
    expect(await metric(installation.operator, 'keywright_leader')).toEqual([1]);
    expect(await metric(second, 'keywright_leader')).toEqual([0]);

    expect(await installation.operator.process.stop()).toBe(0);
    const leads = async (): Promise<void> => expect(await metric(second, 'keywright_leader')).toEqual([1]);
    // a lease that is not given up runs for a minute
    await untilHolds(leads, { withinMs: 30_000 });
    installation.operator = second;
    await second.process.waitForEvent('leading');
    await untilQuiet(second);
    // Revoked hashes are filed at most every five minutes, and by a new leader at once: what the first one had still to file is no idle write.
    const idle = (await findChanged(installation, before)).filter((name) => !name.startsWith('Secret/keywright-system/revoked-'));
    expect(idle).toEqual([]);

    await installation.apply(virtualKey('of-the-second'));
    await untilStatus(proxy, await installation.deliveredKey('of-the-second'), 200);
  });

  it('one that is started anew writes nothing', async () => {
    await untilQuiet(installation.operator);
    const before = await readVersions(installation);
    expect(await installation.operator.process.stop()).toBe(0);
    installation.operator = await installation.startOperator();
    await installation.operator.process.waitForEvent('leading');
    await untilQuiet(installation.operator);
    expect(await findChanged(installation, before)).toEqual([]);
  });
});
