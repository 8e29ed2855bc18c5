import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../runtime/digest.ts';
import { makeLog } from '../../runtime/log.ts';
import type { ClusterObject, Kind, Reference, SecretObject } from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/cluster.ts';
import type { ReflectingCluster } from '../cluster/reflecting-cluster.ts';
import { makeReflectingCluster } from '../cluster/reflecting-cluster.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import { toHashedSecret } from '../credentials/hashed-secret.ts';
import { World } from '../test-world.ts';

let world: World;
let cluster: ReflectingCluster;
/** what the operator has asked for by name, of VirtualKeys */
let asked: Reference[];
let onGet: (reference: Reference) => Error | undefined;

beforeEach(() => {
  world = new World();
  asked = [];
  onGet = () => undefined;
  world.through = () => {
    const log = makeLog({ level: 'silent', name: 'test' });
    cluster = makeReflectingCluster(world.cluster, { clock: world.clock, log, registry: world.metrics });
    const get = cluster.get.bind(cluster);
    cluster.get = async (reference) => {
      if (reference.kind === 'VirtualKey') {
        asked.push(reference);
        const error = onGet(reference);
        if (error !== undefined) throw error;
      }
      return get(reference);
    };
    return cluster;
  };
});
afterEach(() => world.stop());

/** 10,000 with `make prove-snapshot` */
const manyKeys = Number(process.env['KEYWRIGHT_PROVE_KEYS'] ?? 2_000);

const hashOf = (name: string): string => `sha256:${sha256Hex(name)}`;

async function applyKeys(count: number, namespace = 'team'): Promise<void> {
  for (let number = 0; number < count; number += 1)
    await world.applyKey(`k${number}`, { credential: { hashes: [{ hash: hashOf(`${namespace}/k${number}`) }] } }, namespace);
}

async function startWith(count: number): Promise<void> {
  await applyKeys(count);
  await world.start();
  await world.advance(5_000);
  expect(world.published().keys).toHaveLength(count);
}

/** The list of this kind comes back without the objects that are not to be seen. */
async function relist(kind: Kind, sees: (object: ClusterObject) => boolean): Promise<void> {
  cluster.lie = (of, objects) => (of === kind ? objects.filter(sees) : objects);
  cluster.expire(kind);
  await world.settle();
}

const numberOf = ({ metadata }: ClusterObject): number => Number(metadata.name.slice(1));
const index = (): SecretObject | undefined => world.cluster.objects().find(({ metadata }) => metadata.name === 'keywright-snapshot-index');

async function metric(name: string): Promise<number> {
  const line = (await world.metrics.metrics()).split('\n').find((each) => each.startsWith(name));
  return Number(line?.split(' ').at(-1));
}

describe('a list of VirtualKeys that comes back too short', () => {
  it('empty: none is removed, each is asked for, and never more than 50 a second', async () => {
    await startWith(manyKeys);
    await relist('VirtualKey', () => false);
    await world.advance(1_000);
    expect(asked.length).toBeLessThanOrEqual(101);
    await world.advance(10_000);
    expect(asked.length).toBeLessThanOrEqual(601);
    await world.advance(manyKeys * 20);
    expect(asked).toHaveLength(manyKeys);
    expect(world.published().keys).toHaveLength(manyKeys);
    expect(await metric('keywright_absent_objects')).toBe(0);
    // each is known again: its edits and its end are seen
    await world.applyKey('k7', { suspended: true, credential: { hashes: [{ hash: hashOf('team/k7') }] } });
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'k8' });
    await world.advance(2_000);
    expect(world.publishedKey('team/k7')?.state).toBe('Suspended');
    expect(world.publishedKey('team/k8')).toBeUndefined();
  }, 120_000);

  it('in part: what is there stays, what was really deleted meanwhile goes', async () => {
    await startWith(60);
    await relist('VirtualKey', (object) => numberOf(object) % 2 === 0);
    await world.advance(5_000);
    expect(world.published().keys).toHaveLength(60);
    cluster.lie = (_kind, objects) => objects;
    // the watch is cut off, so that nobody tells of these
    cluster.muted.add('VirtualKey');
    for (const number of [41, 43, 44]) await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: `k${number}` });
    await world.advance(5_000);
    expect(world.published().keys).toHaveLength(60);
    cluster.muted.clear();
    cluster.expire('VirtualKey');
    await world.advance(5_000);
    expect(world.published().keys).toHaveLength(57);
  });

  it.each([
    ['forbidden', new ClusterError('Forbidden', 'get VirtualKey: 403')],
    ['in trouble', new ClusterError('Unavailable', 'get VirtualKey: 500')],
  ])('and nobody can say whether they are gone (%s): they stay, and go on being asked for', async (_, error) => {
    await startWith(40);
    onGet = () => error;
    await relist('VirtualKey', () => false);
    await world.advance(60_000);
    expect(world.published().keys).toHaveLength(40);
    expect(await metric('keywright_absent_objects')).toBe(40);
    onGet = () => undefined;
    for (let number = 0; number < 30; number += 1)
      await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: `k${number}` });
    await world.advance(120_000);
    expect(world.published().keys).toHaveLength(10);
    expect(await metric('keywright_absent_objects')).toBe(0);
  });
});

describe('keys that are deleted', () => {
  it('a whole namespace at once: the guard is not asked', async () => {
    await startWith(manyKeys);
    for (let number = 0; number < manyKeys; number += 1)
      await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: `k${number}` });
    await world.advance(3_000);
    expect(world.published().keys).toEqual([]);
    expect(asked).toEqual([]);
    expect(world.reasons()).not.toContain('SnapshotBlocked');
  }, 120_000);
});

/** The hashed Secrets are restored from somewhere else: others claim the same hashes, and earlier. Nobody has deleted these keys or ended their credentials. */
async function claimElsewhere(from: number, to: number): Promise<void> {
  for (let number = from; number < to; number += 1) {
    const hash = sha256Hex(`team/k${number}`);
    await world.applyKey(`k${number}`, { credential: { hashes: [{ hash: hashOf(`team/k${number}`) }] } }, 'other');
    await world.settle();
    const keyId = `other/k${number}`;
    const record = await world.record(keyId);
    if (record === undefined) throw new Error(`${keyId} has no record`);
    const earlier: CredentialRecord = { ...record, credentials: [{ hash, prefix: '', state: 'Active', createdAt: 1 }] };
    await world.cluster.apply(toHashedSecret(earlier, 'system'));
    await world.applyKey(`k${number}`, { credential: { hashes: [{ hash: hashOf(`team/k${number}`) }] }, description: 'looked at again' });
  }
  await world.settle();
}

const published = (namespace: string): number => world.published().keys.filter(({ id }) => id.startsWith(`${namespace}/`)).length;
const publishedOf = async (name: string): Promise<string | undefined> =>
  (await world.key(name))?.status?.conditions?.find(({ type }) => type === 'Published')?.reason;

async function annotate(value: string): Promise<void> {
  const secret = index();
  if (secret === undefined) throw new Error('no index');
  await world.cluster.apply({ ...secret, metadata: { ...secret.metadata, annotations: { 'keywright.dev/allow-drop': value } } });
}

describe('keys that would vanish though nobody has asked for it', () => {
  it('more than 30 % and more than 20: all stay, and it is told on the index, on the keys and in metrics', async () => {
    await startWith(60);
    await claimElsewhere(0, 30);
    await world.advance(60_000);
    expect(published('team')).toBe(60);
    expect(await publishedOf('k7')).toBe('SnapshotBlocked');
    expect(await publishedOf('k40')).toBe('Published');
    const told = world.cluster.events().find(({ reason }) => reason === 'SnapshotBlocked');
    expect(told?.regarding.metadata.name).toBe('keywright-snapshot-index');
    expect(told?.message).toContain('keywright.dev/allow-drop=1');
    expect(await metric('keywright_snapshot_withheld_keys')).toBe(30);
    expect(await metric('keywright_snapshot_blocked{reason="guard"')).toBe(1);
  });

  it('meanwhile revocations, additions and edits go out, also of a key that is withheld', async () => {
    await startWith(60);
    await claimElsewhere(0, 30);
    await world.advance(20_000);
    const spec = (number: number) => ({ credential: { hashes: [{ hash: hashOf(`team/k${number}`) }] } });
    await world.applyKey('k3', { ...spec(3), revoked: true });
    await world.applyKey('k40', { ...spec(40), suspended: true });
    await world.applyKey('k41', { ...spec(41), limits: { rpm: 7 } });
    await world.applyKey('new', { credential: { hashes: [{ hash: hashOf('new') }] } });
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'k42' });
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'k4' });
    await world.advance(3_000);
    expect(world.publishedKey('team/k3')).toMatchObject({ state: 'Revoked', gen: 2 });
    expect(world.publishedKey('team/k40')?.state).toBe('Suspended');
    expect(world.publishedKey('team/k41')?.limits).toEqual({ rpm: 7 });
    expect(world.publishedKey('team/new')).toBeDefined();
    expect([world.publishedKey('team/k42'), world.publishedKey('team/k4')]).toEqual([undefined, undefined]);
    expect(published('team')).toBe(59);
  });

  it('a successor withholds them as well', async () => {
    await startWith(60);
    await claimElsewhere(0, 30);
    await world.advance(1_000);
    await world.stop();
    await world.start();
    await world.advance(60_000);
    expect(published('team')).toBe(60);
    expect(world.reasons()).toContain('SnapshotBlocked');
  });

  it('go when somebody allows it for this epoch, once', async () => {
    await startWith(90);
    await claimElsewhere(0, 40);
    await world.advance(20_000);
    await annotate('2');
    await world.advance(20_000);
    expect(published('team')).toBe(90);
    await annotate('1');
    await world.advance(3_000);
    expect(published('team')).toBe(50);
    expect(index()?.metadata.annotations ?? {}).toEqual({});
    expect(world.reasons()).toContain('SnapshotDropAllowed');
    expect(await metric('keywright_snapshot_blocked{reason="guard"')).toBe(0);
    await claimElsewhere(40, 75);
    await world.advance(20_000);
    expect(published('team')).toBe(50);
  });

  it('the permission does not wait for an accident to come', async () => {
    await startWith(60);
    await annotate('1');
    await world.advance(120_000);
    expect(index()?.metadata.annotations ?? {}).toEqual({});
    await claimElsewhere(0, 30);
    await world.advance(20_000);
    expect(published('team')).toBe(60);
  });

  it.each([
    ['not more than 30 %', 100, 25],
    ['not more than 20', 40, 20],
  ])('%s: they go', async (_, all, vanish) => {
    await startWith(all);
    await claimElsewhere(0, vanish);
    await world.advance(10_000);
    expect(published('team')).toBe(all - vanish);
    expect(world.reasons()).not.toContain('SnapshotBlocked');
  });

  it('one after the other, each wave too small to be noticed: they count together', async () => {
    await startWith(60);
    for (let from = 0; from < 40; from += 10) {
      await claimElsewhere(from, from + 10);
      await world.advance(20_000);
    }
    expect(published('team')).toBe(40);
    expect(await metric('keywright_snapshot_withheld_keys')).toBe(20);
  });
});

describe('a list of Namespaces that comes back too short', () => {
  const namespace = (name: string) =>
    world.cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { env: 'prod' } } });
  const admitted = () => world.published().channels[0]?.namespaces;

  beforeEach(async () => {
    await namespace('team');
    await namespace('other');
    await world.applyChannel('openai', {
      provider: 'OpenAI',
      allowedNamespaces: { from: 'Selector', selector: { matchLabels: { env: 'prod' } } },
    });
    await world.start();
    await world.advance(5_000);
  });

  it('takes a Channel from nobody, and what was really deleted meanwhile goes', async () => {
    await relist('Namespace', () => false);
    await world.advance(5_000);
    expect(admitted()).toEqual(['other', 'team']);
    cluster.muted.add('Namespace');
    await world.cluster.delete({ kind: 'Namespace', name: 'other' });
    await world.advance(5_000);
    cluster.muted.clear();
    await relist('Namespace', () => false);
    await world.advance(5_000);
    expect(admitted()).toEqual(['team']);
    await relist('Namespace', () => true);
    await world.cluster.delete({ kind: 'Namespace', name: 'team' });
    await world.advance(5_000);
    expect(admitted()).toEqual([]);
  });

  it('is not believed by an operator that starts with it either', async () => {
    expect(admitted()).toEqual(['other', 'team']);
    await world.stop();
    const through = world.through;
    world.through = (inner) => {
      const made = through(inner);
      cluster.lie = (of, objects) => (of === 'Namespace' ? [] : objects);
      return made;
    };
    await world.cluster.delete({ kind: 'Namespace', name: 'other' });
    const before = world.writes.length;
    await world.start();
    await world.advance(5_000);
    expect(admitted()).toEqual(['team']);
    expect(world.writes.slice(before).filter(({ name }) => name.includes('-channels-'))).toHaveLength(1);
  });
});
