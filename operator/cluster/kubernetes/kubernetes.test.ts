import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../runtime/clock.ts';
import { makeLog } from '../../../runtime/log.ts';
import type { ControlPlane } from '../../../test/support/control-plane.ts';
import { startControlPlane } from '../../../test/support/control-plane.ts';
import type { LeaseObject } from '../../leadership/lease-object.ts';
import { runLeaderElection } from '../../leadership/lease.ts';
import type { Cluster, ClusterObject, ReflectedEvent, SecretObject } from '../cluster.ts';
import { describeClusterContract } from '../contract.ts';
import { makeKubernetesCluster } from './kubernetes.ts';

let controlPlane: ControlPlane;
const opened: Cluster[] = [];

beforeAll(async () => {
  controlPlane = await startControlPlane();
  await controlPlane.kubectl('apply', '-f', 'crds/virtualkey.crd.yaml', '-f', 'crds/channel.crd.yaml');
  await controlPlane.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s');
}, 180_000);
afterAll(async () => {
  await Promise.all(opened.map((cluster) => cluster.close()));
  await controlPlane?.stop();
}, 180_000);

const log = makeLog({ level: 'silent', name: 'test' });

function open(kubeconfigPath = controlPlane.kubeconfigPath, registry = new Registry()): Cluster {
  const cluster = makeKubernetesCluster({ kubeconfigPath, log, metrics: { registry }, clock: systemClock, random: Math.random });
  opened.push(cluster);
  return cluster;
}

async function makeNamespace(name: string): Promise<string> {
  await controlPlane.kubectl('create', 'namespace', name);
  return name;
}

function secret(namespace: string, name: string, value = 'a'): SecretObject {
  const data = { value: Buffer.from(value).toString('base64') };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, type: 'Opaque', data };
}

/** A cache as a reader would build it from the events alone. */
function mirror(cluster: Cluster, namespace: string) {
  const objects = new Map<string, string | undefined>();
  const events: ReflectedEvent<SecretObject>[] = [];
  const reflector = cluster.reflect<SecretObject>({
    kind: 'Secret',
    namespace,
    onEvent: (event) => {
      events.push(event);
      if (event.type === 'Applied') objects.set(event.object.metadata.name, event.object.metadata.resourceVersion);
      if (event.type === 'Deleted') objects.delete(event.object.metadata.name);
    },
  });
  return { objects, events, stop: () => reflector.stop() };
}

async function stored(cluster: Cluster, namespace: string): Promise<Map<string, string | undefined>> {
  const secrets = await cluster.list<SecretObject>({ kind: 'Secret', namespace });
  return new Map(secrets.map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
}

describeClusterContract('a real API server', async () => {
  const namespaces = [await makeNamespace('contract-first'), await makeNamespace('contract-second')] as const;
  const cluster = open();
  return { cluster, namespaces, close: () => cluster.close() };
});

describe('a real API server', () => {
  it('pages through more than 500 objects', async () => {
    const namespace = await makeNamespace('many');
    const cluster = open();
    const names = Array.from({ length: 1_020 }, (_, index) => `secret-${index}`);
    await Promise.all(names.map((name) => cluster.create(secret(namespace, name))));
    const seen = mirror(cluster, namespace);
    await expect.poll(() => seen.events.at(-1)?.type, { timeout: 60_000 }).toBe('Synced');
    await seen.stop();
    expect(seen.objects.size).toBe(names.length);
    expect(seen.objects).toEqual(await stored(cluster, namespace));
  }, 180_000);

  it('goes on after the API server was killed: nothing is lost and nothing told twice', async () => {
    const namespace = await makeNamespace('killed');
    const cluster = open();
    for (const name of ['kept', 'edited', 'deleted']) await cluster.create(secret(namespace, name));
    const seen = mirror(cluster, namespace);
    await expect.poll(() => seen.events.at(-1)?.type, { timeout: 60_000 }).toBe('Synced');

    await controlPlane.killApiServer();
    await expect(cluster.get({ kind: 'Secret', namespace, name: 'kept' })).rejects.toMatchObject({
      name: 'ClusterError',
      reason: 'Unavailable',
    });
    await controlPlane.startApiServer();

    const writer = open();
    const edited = await writer.get<SecretObject>({ kind: 'Secret', namespace, name: 'edited' });
    if (edited !== undefined) await writer.replace({ ...edited, data: {} });
    await writer.remove({ kind: 'Secret', namespace, name: 'deleted' });
    for (let index = 0; index < 50; index += 1) await writer.create(secret(namespace, `later-${index}`));
    const expected = await stored(writer, namespace);
    await expect.poll(() => seen.objects, { timeout: 60_000, interval: 100 }).toEqual(expected);
    await seen.stop();
    expect(seen.events.filter(({ type }) => type === 'Synced')).toHaveLength(1);
    const versions = seen.events.flatMap((event) => (event.type === 'Applied' ? [event.object.metadata.resourceVersion] : []));
    expect(new Set(versions).size).toBe(versions.length);
  }, 180_000);

  it('says what is forbidden without the words of the server', async () => {
    const namespace = await makeNamespace('forbidden');
    await controlPlane.kubectl('create', 'serviceaccount', 'nobody', '--namespace', namespace);
    const cluster = open(controlPlane.kubeconfigFor(await controlPlane.createToken(`${namespace}/nobody`)));
    const failure = await cluster.create(secret(namespace, 'any', 'hidden-value')).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: 'ClusterError', reason: 'Forbidden', message: `create Secret ${namespace}/any: 403 Forbidden` });
    const stranger = open(controlPlane.kubeconfigFor('no-such-token'));
    await expect(stranger.list({ kind: 'Secret', namespace })).rejects.toMatchObject({ reason: 'Unauthorized' });
  }, 180_000);

  it('aggregates Events of one reason about one object', async () => {
    const namespace = await makeNamespace('events');
    const cluster = open();
    const regarding: ClusterObject = {
      apiVersion: 'keywright.dev/v1alpha1',
      kind: 'VirtualKey',
      metadata: { name: 'k', namespace, uid: 'uid-1' },
    };
    const messages = async () => {
      const answer = await controlPlane.kubectl('get', 'events', '--namespace', namespace, '--output=json');
      const { items } = JSON.parse(answer) as { items: { reason: string; message: string; count: number; type: string }[] };
      return items.map(({ reason, message, count, type }) => `${type} ${reason} ${count} ${message}`).sort();
    };
    cluster.recordEvent({ regarding, type: 'Normal', reason: 'KeyIssued', message: 'issued' });
    cluster.recordEvent({ regarding, type: 'Warning', reason: 'WeakKey', message: 'first' });
    cluster.recordEvent({ regarding, type: 'Warning', reason: 'WeakKey', message: 'second' });
    await expect.poll(messages, { timeout: 60_000 }).toEqual(['Normal KeyIssued 1 issued', 'Warning WeakKey 2 second']);
    cluster.recordEvent({ regarding, type: 'Warning', reason: 'WeakKey', message: 'third' });
    await expect.poll(messages, { timeout: 60_000 }).toEqual(['Normal KeyIssued 1 issued', 'Warning WeakKey 3 third']);
  }, 180_000);

  it('hands leadership over at once when it is given back', async () => {
    const namespace = await makeNamespace('leader');
    const story: string[] = [];
    const elect = (identity: string) =>
      runLeaderElection({
        cluster: open(),
        namespace,
        name: 'keywright-operator',
        identity,
        clock: systemClock,
        random: Math.random,
        log,
        metrics: { registry: new Registry() },
        onElected: () => void story.push(`${identity} elected`),
        onLost: () => void story.push(`${identity} lost`),
      });
    const first = elect('first');
    await expect.poll(() => first.leads(), { timeout: 60_000 }).toBe(true);
    const second = elect('second');
    const reader = open();
    // The standby must have seen the lease as held before it is given back, or it would prove nothing.
    await reader.get({ kind: 'Lease', namespace, name: 'keywright-operator' });
    expect(second.leads()).toBe(false);
    await first.stop();
    await expect.poll(() => second.leads(), { timeout: 60_000, interval: 20 }).toBe(true);
    const lease = await reader.get<LeaseObject>({ kind: 'Lease', namespace, name: 'keywright-operator' });
    expect(lease?.spec).toMatchObject({ holderIdentity: 'second', leaseDurationSeconds: 60 });
    await second.stop();
    expect(story).toEqual(['first elected', 'first lost', 'second elected', 'second lost']);
  }, 180_000);

  it('counts its requests, watches and their age', async () => {
    const registry = new Registry();
    const cluster = open(undefined, registry);
    const namespace = await makeNamespace('metrics');
    const seen = mirror(cluster, namespace);
    await expect.poll(() => seen.events.length, { timeout: 60_000 }).toBe(1);
    await cluster.create(secret(namespace, 's'));
    await cluster.create(secret(namespace, 's'));
    await expect.poll(() => seen.events.length, { timeout: 60_000 }).toBe(2);
    const text = await registry.metrics();
    expect(text).toContain('keywright_kube_requests_total{verb="create",code="201"} 1');
    expect(text).toContain('keywright_kube_requests_total{verb="create",code="409"} 1');
    expect(text).toContain('keywright_watch_events_total{kind="Secret",type="ADDED"} 1');
    expect(text).toMatch(/keywright_watch_last_event_age_seconds\{kind="Secret"\} \d/);
    await seen.stop();
    expect(await registry.metrics()).not.toContain('keywright_watch_last_event_age_seconds{kind="Secret"}');
  }, 180_000);
});
