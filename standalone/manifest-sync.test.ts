import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { ClusterObject } from '../operator/cluster/cluster.ts';
import { makeMemoryCluster } from '../operator/cluster/memory.ts';
import { ManifestSync, type ManifestTarget } from './manifest-sync.ts';
import { makeAdmission } from './manifests/admission.ts';

const silent = pino({ level: 'silent' });
const key = (name: string, spec: object = {}, namespace?: string): ClusterObject =>
  ({
    apiVersion: 'keywright.dev/v1alpha1',
    kind: 'VirtualKey',
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    spec,
  }) as ClusterObject;

function setUp(initial: ClusterObject[] = []) {
  const cluster = makeMemoryCluster({ now: () => 0, initial });
  const sync = new ManifestSync({ target: cluster, admission: makeAdmission(), log: silent, ownNamespaces: ['keywright-system'] }, initial);
  const names = (): string[] =>
    cluster
      .objects()
      .filter(({ kind }) => kind !== 'Namespace')
      .map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);
  return { cluster, sync, names };
}

describe('making the cluster equal to the folder', () => {
  it('applies what is new into the namespace default, deletes what has vanished', async () => {
    const { sync, names } = setUp();
    await sync.apply({ objects: [key('a'), key('b', {}, 'team')], mistakes: [] });
    expect(names()).toEqual(['VirtualKey default/a', 'VirtualKey team/b']);
    await sync.apply({ objects: [key('b', {}, 'team')], mistakes: [] });
    expect(names()).toEqual(['VirtualKey team/b']);
  });

  it('deletes at its first read what an earlier run had and the folder has no more', async () => {
    const earlier = {
      ...key('gone', {}, 'default'),
      metadata: { name: 'gone', namespace: 'default', uid: 'u', resourceVersion: '1', generation: 1 },
    };
    const { sync, names } = setUp([earlier]);
    await sync.apply({ objects: [], mistakes: [] });
    expect(names()).toEqual([]);
  });

  it('deletes nothing while a file could not be read', async () => {
    const { sync, names } = setUp();
    await sync.apply({ objects: [key('a')], mistakes: [] });
    await sync.apply({ objects: [], mistakes: ['broken.yaml: not YAML'], complete: false });
    expect(names()).toEqual(['VirtualKey default/a']);
  });

  it('deletes what this run has seen go, although another file is broken, unless it has moved there', async () => {
    const earlier = {
      ...key('earlier', {}, 'default'),
      metadata: { name: 'earlier', namespace: 'default', uid: 'u', resourceVersion: '1', generation: 1 },
    };
    const { sync, names } = setUp([earlier]);
    const broken = { mistakes: ['broken.yaml: not YAML'], complete: false, mentions: (name: string) => name === 'moved' };
    await sync.apply({ objects: [key('a'), key('moved')], ...broken });
    await sync.apply({ objects: [], ...broken });
    expect(names()).toEqual(['VirtualKey default/earlier', 'VirtualKey default/moved']);
  });

  it('refuses kinds that are not ours and goes on', async () => {
    const { sync, names } = setUp();
    const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } } as ClusterObject;
    await sync.apply({ objects: [configMap, key('a'), key('b', {}, null as unknown as string)], mistakes: [] });
    expect(names()).toEqual(['VirtualKey default/a', 'VirtualKey default/b']);
  });

  it('keeps the last accepted form of what is rejected, transitions included', async () => {
    const { sync, cluster } = setUp();
    await sync.apply({ objects: [key('a', { revoked: true })], mistakes: [] });
    await sync.apply({ objects: [key('a', { revoked: false })], mistakes: [] });
    await sync.apply({ objects: [key('a', { unknown: 1 })], mistakes: [] });
    expect(cluster.objects().find(({ metadata }) => metadata.name === 'a')).toMatchObject({ spec: { revoked: true } });
  });

  it('takes over and deletes the others when one cannot be written, and tries that one again', async () => {
    const { cluster } = setUp();
    let full = false;
    const refuse = (name: string): void => {
      if (full && name.startsWith('stuck')) throw new Error('ENOSPC');
    };
    const target: ManifestTarget = {
      get: (reference) => cluster.get(reference),
      apply: async (object) => (refuse(object.metadata.name), cluster.apply(object)),
      delete: async (reference) => (refuse(reference.name), cluster.delete(reference)),
    };
    const sync = new ManifestSync({ target, admission: makeAdmission(), log: silent, ownNamespaces: [] }, []);
    const find = async (name: string): Promise<object | undefined> => cluster.get({ kind: 'VirtualKey', namespace: 'default', name });
    await sync.apply({ objects: [key('stuck-gone'), key('gone')], mistakes: [] });
    full = true;
    const next = { objects: [key('stuck-new'), key('new')], mistakes: [] };
    await expect(sync.apply(next)).rejects.toThrow(/VirtualKey\/default\/stuck-new, VirtualKey\/default\/stuck-gone/);
    expect([await find('new'), await find('gone')]).toEqual([expect.anything(), undefined]);
    full = false;
    await sync.apply(next);
    expect([await find('stuck-new'), await find('stuck-gone')]).toEqual([expect.anything(), undefined]);
  });

  it('lets no manifest write into our own namespaces or over a delivered Secret', async () => {
    const { sync, cluster, names } = setUp();
    await cluster.create({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'a-virtualkey', namespace: 'default', labels: { 'keywright.dev/key': 'a' } },
      data: { apiKey: 'b3Vycw==' },
    } as ClusterObject);
    const secret = (name: string, namespace: string): ClusterObject =>
      ({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData: { apiKey: 'planted' } }) as ClusterObject;
    await sync.apply({ objects: [secret('a-virtualkey', 'default'), secret('x', 'keywright-system')], mistakes: [] });
    expect(names()).toEqual(['Secret default/a-virtualkey']);
    expect(await cluster.get({ kind: 'Secret', namespace: 'default', name: 'a-virtualkey' })).toMatchObject({
      data: { apiKey: 'b3Vycw==' },
    });
  });
});
