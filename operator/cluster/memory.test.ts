import { describe, expect, it } from 'vitest';
import type { ClusterObject, ReflectedEvent, SecretObject } from './cluster.ts';
import { ClusterError } from './cluster.ts';
import { describeClusterContract } from './contract.ts';
import type { MemoryChange } from './memory.ts';
import { makeMemoryCluster } from './memory.ts';

describeClusterContract('memory', async () => {
  const cluster = makeMemoryCluster({ now: () => 1_700_000_000_000, onHandlerError: () => undefined });
  return { cluster, namespaces: ['first', 'second'], close: () => cluster.close() };
});

const secret = (name: string, changes: Partial<SecretObject> = {}): SecretObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'a' },
  data: {},
  ...changes,
});
const virtualKey = (name: string): ClusterObject & { spec: object } => ({
  apiVersion: 'keywright.dev/v1alpha1',
  kind: 'VirtualKey',
  metadata: { name, namespace: 'a' },
  spec: {},
});

describe('memory cluster', () => {
  it('applies as a user does: status and uid stay, the generation follows the spec', async () => {
    const cluster = makeMemoryCluster({ now: () => 0, uid: () => 'uid-1' });
    const created = await cluster.apply(virtualKey('k'));
    await cluster.patchStatus(created, { phase: 'Active' });
    const edited = await cluster.apply({ ...virtualKey('k'), spec: { suspended: true } });
    expect(edited).toMatchObject({
      metadata: { uid: 'uid-1', generation: 2, creationTimestamp: '1970-01-01T00:00:00Z' },
      status: { phase: 'Active' },
    });
    const same = await cluster.apply({ ...virtualKey('k'), spec: { suspended: true } });
    expect(same.metadata.resourceVersion).toBe(edited.metadata.resourceVersion);
  });

  it('never delivers in the stack of the write', async () => {
    const cluster = makeMemoryCluster({ now: () => 0 });
    const events: ReflectedEvent<SecretObject>[] = [];
    cluster.reflect<SecretObject>({ kind: 'Secret', onEvent: (event) => void events.push(event) });
    expect(events).toEqual([]);
    await cluster.apply(secret('s'));
    await Promise.resolve();
    expect(events.map((event) => event.type)).toEqual(['Synced', 'Applied']);
  });

  it('removes what has lost all its owners, and only that', async () => {
    const cluster = makeMemoryCluster({ now: () => 0 });
    const [first, second] = [await cluster.apply(virtualKey('first')), await cluster.apply(virtualKey('second'))];
    const owner = (of: ClusterObject) => ({ apiVersion: of.apiVersion, kind: of.kind, name: of.metadata.name, uid: of.metadata.uid ?? '' });
    await cluster.apply(secret('one', { metadata: { name: 'one', namespace: 'a', ownerReferences: [owner(first)] } }));
    await cluster.apply(secret('both', { metadata: { name: 'both', namespace: 'a', ownerReferences: [owner(first), owner(second)] } }));
    await cluster.delete({ kind: 'VirtualKey', namespace: 'a', name: 'first' });
    await cluster.close();
    expect(cluster.objects().map((object) => object.metadata.name)).toEqual(['both', 'second']);
  });

  it('asks the persistence hook before a change holds', async () => {
    const changes: MemoryChange[] = [];
    let broken = false;
    const cluster = makeMemoryCluster({
      now: () => 0,
      onChange: async (change) => {
        if (broken) throw new ClusterError('Unavailable', 'the disk is full');
        changes.push(change);
      },
    });
    await cluster.apply(secret('kept'));
    broken = true;
    await expect(cluster.create(secret('lost'))).rejects.toThrow('the disk is full');
    await expect(cluster.delete({ kind: 'Secret', namespace: 'a', name: 'kept' })).rejects.toThrow('the disk is full');
    expect(cluster.objects().map((object) => object.metadata.name)).toEqual(['kept']);
    broken = false;
    await cluster.delete({ kind: 'Secret', namespace: 'a', name: 'kept' });
    expect(changes.map((change) => change.type)).toEqual(['Applied', 'Deleted']);
  });

  it('takes up what a former run had', async () => {
    const former = makeMemoryCluster({ now: () => 0 });
    const key = await former.apply(virtualKey('k'));
    await former.patchStatus(key, { phase: 'Active' });
    const next = makeMemoryCluster({ now: () => 0, initial: former.objects() });
    expect(next.objects()).toEqual(former.objects());
    const created = await next.apply(secret('s'));
    expect(Number(created.metadata.resourceVersion)).toBeGreaterThan(Number(former.objects()[0]?.metadata.resourceVersion));
  });

  it('injects faults by verb and name', async () => {
    const cluster = makeMemoryCluster({
      now: () => 0,
      fault: (verb, { name }) => (verb === 'replace' && name === 's' ? new ClusterError('Throttled', 'later', 5_000) : undefined),
    });
    const created = await cluster.apply(secret('s'));
    await expect(cluster.replace(created)).rejects.toMatchObject({ reason: 'Throttled', retryAfterMs: 5_000 });
    expect(await cluster.get({ kind: 'Secret', namespace: 'a', name: 's' })).toEqual(created);
  });

  it('lets exactly one of many concurrent writers of one version win', async () => {
    const cluster = makeMemoryCluster({ now: () => 0 });
    const created = await cluster.apply(secret('s'));
    const outcomes = await Promise.all([1, 2, 3, 4].map((n) => cluster.replace({ ...created, data: { n: String(n) } })));
    expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual(['conflict', 'conflict', 'conflict', 'written']);
  });

  it('gives objects that nobody can change by accident', async () => {
    const cluster = makeMemoryCluster({ now: () => 0 });
    const given = secret('s', { data: { a: 'YQ==' } });
    const created = await cluster.apply(given);
    expect(() => Object.assign(created.data ?? {}, { a: 'x' })).toThrow(TypeError);
    Object.assign(given.data ?? {}, { a: 'changed' });
    expect(await cluster.get({ kind: 'Secret', namespace: 'a', name: 's' })).toMatchObject({ data: { a: 'YQ==' } });
  });
});
