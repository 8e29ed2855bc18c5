import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../core/secret.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import type { SecretObject } from '../../operator/cluster/cluster.ts';
import { type PublishBounds, Publisher } from '../../operator/snapshot/publish.ts';
import { toBucketHash } from '../../operator/snapshot/snapshot-documents.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { leastValues, renderObjects, toAccess, toManifest } from '../support/chart.ts';
import { type ChartAccounts, installAccess } from '../support/chart-access.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { connect, ends, log, startProxy, until } from './snapshot-parts.ts';

const installationSecret = new Secret('0123456789abcdef0123456789abcdef');

let controlPlane: ControlPlane;
let accounts: ChartAccounts;

beforeAll(async () => {
  controlPlane = await startControlPlane();
  accounts = await installAccess(controlPlane, await renderObjects());
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});
afterAll(() => controlPlane.stop());

/** Tests that take minutes elsewhere: what a clock does after ten of them happens when it is told to. */
function makePatientClock(): Clock & { passTenMinutes(): void } {
  const waiting = new Set<() => void>();
  let aheadMs = 0;
  return {
    now: () => systemClock.now() + aheadMs,
    after(ms, run) {
      if (ms < 500_000) return systemClock.after(ms, run);
      waiting.add(run);
      return { cancel: () => void waiting.delete(run) };
    },
    passTenMinutes() {
      aheadMs += 600_000;
      const due = [...waiting];
      waiting.clear();
      for (const run of due) run();
    },
  };
}

/** A namespace for a snapshot, with the rights in it that the chart gives the two accounts. */
async function makeNamespace(name: string): Promise<string> {
  const chart = await renderObjects({ values: { ...leastValues, snapshotNamespace: { name } } });
  await controlPlane.applyWith(['--server-side'], toManifest(toAccess(chart)));
  return name;
}

async function startPublisher(namespace: string, clock: Clock, bounds?: PublishBounds) {
  const cluster = connect(accounts.operator, clock);
  const metrics = makeMetrics();
  const publisher = new Publisher({
    cluster,
    namespace,
    installationSecret,
    clock,
    random: Math.random,
    log,
    metrics,
    onPublished: () => undefined,
    ...(bounds === undefined ? {} : { bounds }),
  });
  await publisher.load();
  const reflector = cluster.reflect<SecretObject>({
    kind: 'Secret',
    namespace,
    metadataOnly: true,
    fieldSelector: 'type=keywright.dev/snapshot',
    onEvent: (event) => publisher.observe(event),
  });
  publisher.start();
  ends.push(async () => {
    await publisher.stop();
    await reflector.stop();
    metrics.close();
  });
  return { publisher, metrics };
}

function makeRecord(id: string, bytes: number, changes: Partial<KeyRecord> = {}): KeyRecord {
  const credentials = [{ id: '0123456789ab', hash: sha256Hex(id), prefix: '', state: 'Active' as const }];
  const tags = { noise: randomBytes(Math.ceil((bytes * 3) / 4)).toString('base64') };
  return { id, uid: 'uid', generation: 1, gen: 1, state: 'Active', credentials, access: {}, tags, ...changes };
}

describe('an epoch with more shards, on a real API server', () => {
  it('comes without a gap for proxies that are there and for new ones, and a revocation meanwhile counts at once', async () => {
    const namespace = await makeNamespace('growing');
    const clock = makePatientClock();
    const bounds = { shardBytes: 20_000, secretBytes: 40_000, layout: { epoch: 1, keyBuckets: 4, channelBuckets: 2 } };
    const { publisher } = await startPublisher(namespace, clock, bounds);
    publisher.open();
    const ids = Array.from({ length: 200 }, (_, number) => `team/k${number}`);
    for (const id of ids.slice(0, 60)) publisher.setKey(id, makeRecord(id, 600));
    const proxy = startProxy(accounts.proxy, namespace);
    await until(() => ids.slice(0, 60).every((id) => proxy.recordOf(id) !== undefined));
    const gaps: string[] = [];
    let watching = true;
    const watched = (async () => {
      const seen = new Map<string, number>();
      while (watching) {
        for (const id of ids) {
          const gen = proxy.recordOf(id)?.gen ?? -1;
          if (gen < (seen.get(id) ?? -1)) gaps.push(`${id} ${seen.get(id)} → ${gen}`);
          seen.set(id, gen);
        }
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    for (const [turn, id] of ids.slice(60).entries()) {
      publisher.setKey(id, makeRecord(id, 600));
      const revoked = ids[turn % 60] ?? '';
      if (turn % 10 === 0) publisher.setKey(revoked, makeRecord(revoked, 600, { gen: 2, state: 'Revoked' }), { urgent: true });
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await until(() => ids.every((id) => proxy.recordOf(id) !== undefined));
    const late = startProxy(accounts.proxy, namespace);
    await until(() => late.ready);
    expect(ids.filter((id) => late.recordOf(id) === undefined)).toEqual([]);
    for (let turn = 0; turn < 60; turn += 10) expect(proxy.recordOf(ids[turn] ?? '')?.state).toBe('Revoked');
    watching = false;
    await watched;
    expect(gaps).toEqual([]);
    expect(proxy.describe()).toMatchObject({ epoch: 2, announcedEpoch: 2 });
    const names = async () => (await controlPlane.kubectl('get', 'secrets', '-n', namespace, '-o', 'name')).split('\n');
    expect((await names()).filter((name) => name.includes('-1-'))).toHaveLength(6);
    clock.passTenMinutes();
    await until(async () => (await names()).every((name) => !name.includes('-1-')));
    expect((await names()).filter((name) => name.includes('-2-'))).toHaveLength(10);
    expect(late.ready).toBe(true);
  });

  it('hundreds of the largest records in one bucket never ask for more than a Secret can hold', async () => {
    const namespace = await makeNamespace('largest');
    const { publisher, metrics } = await startPublisher(namespace, systemClock);
    publisher.open();
    const proxy = startProxy(accounts.proxy, namespace);
    await until(() => proxy.ready);
    const ids: string[] = [];
    for (let number = 0; ids.length < 250; number += 1)
      if (toBucketHash(`team/k${number}`, installationSecret) % 64 === 7) ids.push(`team/k${number}`);
    for (const id of ids) publisher.setKey(id, makeRecord(id, 7_900));
    await until(() => ids.every((id) => proxy.recordOf(id) !== undefined));
    const outcomes = (await metrics.registry.metrics()).split('\n').filter((line) => line.startsWith('keywright_publish_total'));
    expect(outcomes.filter((line) => line.includes('failed'))).toEqual([]);
    expect(proxy.describe()).toMatchObject({ epoch: 2 });
  });
});
