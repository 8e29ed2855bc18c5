import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Cluster, SecretObject } from '../../operator/cluster/cluster.ts';
import { makeKubernetesCluster } from '../../operator/cluster/kubernetes/kubernetes.ts';
import { findKubeConfig } from '../../proxy/kubernetes/kube-config.ts';
import { makeKubernetesSource } from '../../proxy/kubernetes/kubernetes-source.ts';
import type { SnapshotSource } from '../../proxy/snapshot/snapshot-source.ts';
import { systemClock } from '../../runtime/clock.ts';
import { makeLog } from '../../runtime/log.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { untilHolds } from '../support/eventually.ts';

const namespace = 'snapshot';
const log = makeLog({ level: 'silent', name: 'test' });
let controlPlane: ControlPlane;
let cluster: Cluster;
let source: SnapshotSource;
/** what each side believes: name → text */
const operator = new Map<string, string>();
const proxy = new Map<string, string>();

const encode = (text: string) => Buffer.from(text).toString('base64');
const decode = (data: string | undefined) => Buffer.from(data ?? '', 'base64').toString();

beforeAll(async () => {
  controlPlane = await startControlPlane();
  await controlPlane.kubectl('create', 'namespace', namespace);
  cluster = makeKubernetesCluster({
    kubeconfigPath: controlPlane.kubeconfigPath,
    log,
    metrics: { registry: new Registry() },
    clock: systemClock,
    random: Math.random,
  });
  const found = findKubeConfig({ KUBECONFIG: controlPlane.kubeconfigPath });
  if (!found.ok) throw new Error(found.mistake);
  source = makeKubernetesSource({ connection: found.connection, namespace, log, clock: systemClock, random: Math.random });
  for (const name of ['kept', 'edited', 'deleted']) await write(name, 'before');
  cluster.reflect<SecretObject>({
    kind: 'Secret',
    namespace,
    onEvent(event) {
      if (event.type === 'Applied') operator.set(event.object.metadata.name, decode(event.object.data?.['document']));
      if (event.type === 'Deleted') operator.delete(event.object.metadata.name);
    },
  });
  source.start({
    document: (name, bytes) => void proxy.set(name, Buffer.from(bytes).toString()),
    removed: (name) => void proxy.delete(name),
    synced: () => undefined,
    connected: () => undefined,
  });
});
afterAll(async () => {
  await source?.stop();
  await cluster?.close();
  await controlPlane?.stop();
});

async function write(name: string, text: string): Promise<void> {
  const known = await cluster.get<SecretObject>({ kind: 'Secret', namespace, name });
  const data = { document: encode(text) };
  if (known === undefined)
    await cluster.create<SecretObject>({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace, name },
      type: 'keywright.dev/snapshot',
      data,
    });
  else await cluster.replace<SecretObject>({ ...known, data });
}

async function untilBothBelieve(wanted: Record<string, string>): Promise<void> {
  const check = () => {
    expect({ operator: Object.fromEntries(operator), proxy: Object.fromEntries(proxy) }).toEqual({ operator: wanted, proxy: wanted });
  };
  // Long before the second silent watch (four minutes) or the half-hourly list would tell.
  await untilHolds(check, { withinMs: 60_000 });
}

it('operator and proxy follow a store that was restored from a backup back into its past, and go on from there', async () => {
  const before = { kept: 'before', edited: 'before', deleted: 'before' };
  await untilBothBelieve(before);
  await controlPlane.saveStore();
  await untilHolds(() => write('edited', 'after'), { withinMs: 60_000 });
  await cluster.remove({ kind: 'Secret', namespace, name: 'deleted' });
  await write('made', 'after');
  // So far ahead that the restored store does not come by in the time of this test.
  for (let round = 0; round < 300; round += 1) await write('made', `after ${round}`);
  await untilBothBelieve({ kept: 'before', edited: 'after', made: 'after 299' });

  await controlPlane.restoreStore();
  await untilBothBelieve(before);
  await write('edited', 'again');
  await write('new', 'again');
  await untilBothBelieve({ kept: 'before', edited: 'again', deleted: 'before', new: 'again' });
}, 240_000);
