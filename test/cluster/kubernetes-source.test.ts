import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findKubeConfig } from '../../proxy/kubernetes/kube-config.ts';
import { makeKubernetesSource } from '../../proxy/kubernetes/kubernetes-source.ts';
import type { SnapshotSource } from '../../proxy/snapshot/snapshot-source.ts';
import { systemClock } from '../../runtime/clock.ts';
import { makeLog } from '../../runtime/log.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';

const account = `apiVersion: v1
kind: Namespace
metadata: { name: snapshot }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: proxy, namespace: snapshot }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: proxy, namespace: snapshot }
rules: [{ apiGroups: [""], resources: [secrets], verbs: [list, watch] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: proxy, namespace: snapshot }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: proxy }
subjects: [{ kind: ServiceAccount, name: proxy, namespace: snapshot }]
`;

let controlPlane: ControlPlane;
let source: SnapshotSource | undefined;
let kubeconfig: string;
const told: string[] = [];
const logged: string[] = [];

function start(namespace: string): SnapshotSource {
  const found = findKubeConfig({ KUBECONFIG: kubeconfig });
  if (!found.ok) throw new Error(found.mistake);
  const log = makeLog({ level: 'debug', name: 'test', destination: { write: (line: string) => void logged.push(line) } });
  const made = makeKubernetesSource({ connection: found.connection, namespace, log, clock: systemClock, random: Math.random });
  made.start({
    document: (name, bytes) => void told.push(`${name}=${Buffer.from(bytes).toString()}`),
    removed: (name) => void told.push(`-${name}`),
    synced: () => void told.push('synced'),
    connected: (value) => void told.push(value ? 'connected' : 'disconnected'),
  });
  return made;
}

async function until(holds: () => boolean): Promise<void> {
  await eventually(holds, { withinMs: 60_000, everyMs: 20 });
}

function secret(name: string, text: string, type = 'keywright.dev/snapshot'): string {
  return `apiVersion: v1\nkind: Secret\ntype: ${type}\nmetadata: { name: ${name}, namespace: snapshot }\nstringData: { document: "${text}" }\n`;
}

beforeAll(async () => {
  controlPlane = await startControlPlane();
  await controlPlane.apply(account);
  kubeconfig = controlPlane.kubeconfigFor(await controlPlane.createToken('snapshot/proxy'));
  await controlPlane.apply(`${secret('first', 'one')}---\n${secret('foreign', 'not ours', 'Opaque')}`);
});
afterAll(async () => {
  await source?.stop();
  await controlPlane.stop();
});

describe('the snapshot source at a real API server, with list and watch on one namespace', () => {
  it('lists what is there, of our type only, and connects', async () => {
    source = start('snapshot');
    await until(() => told.includes('connected'));
    expect(told).toEqual(['first=one', 'synced', 'connected']);
  });

  it('hears of changes', async () => {
    await controlPlane.apply(secret('second', 'two'));
    await until(() => told.includes('second=two'));
    await controlPlane.apply(secret('second', 'three'));
    await until(() => told.includes('second=three'));
    await controlPlane.kubectl('delete', 'secret', 'second', '-n', 'snapshot');
    await until(() => told.includes('-second'));
  });

  it('comes back after the API server was killed, with what changed and nothing twice', async () => {
    told.length = 0;
    await controlPlane.killApiServer();
    await until(() => told.includes('disconnected'));
    await controlPlane.startApiServer();
    await controlPlane.apply(secret('third', 'after'));
    await until(() => told.includes('third=after') && told.includes('connected'));
    expect(told.filter((each) => each !== 'synced' && each !== 'connected' && each !== 'disconnected')).toEqual(['third=after']);
  });

  it('says which rights are missing elsewhere', async () => {
    const other = start('default');
    await until(() => logged.some((line) => line.includes('needs list and watch on secrets in namespace default')));
    await other.stop();
  });
});
