import { beforeEach, describe, expect, it } from 'vitest';
import { noSealKeys } from '../../runtime/seal.ts';
import type { SealSource } from '../../runtime/seal-file.ts';
import { makeFixedSeal } from '../../runtime/seal-file.ts';
import type { ReflectedEvent, SecretObject } from '../cluster/cluster.ts';
import { describeClusterContract } from '../cluster/contract.ts';
import type { MemoryCluster } from '../cluster/memory.ts';
import { makeMemoryCluster } from '../cluster/memory.ts';
import { FakeSeal, makeSealKey, sealKeysOf } from '../../test/fake/seal.ts';
import { SealedCluster } from './sealed-cluster.ts';

const [first, second] = [makeSealKey(), makeSealKey()];

describeClusterContract('memory, sealed', async () => {
  const cluster = makeMemoryCluster({ now: () => 1_700_000_000_000, onHandlerError: () => undefined });
  const seal = makeFixedSeal(sealKeysOf(first));
  const sealed = new SealedCluster({ cluster, seal, namespaces: ['first', 'second'], onLocked: () => undefined });
  return { cluster: sealed, namespaces: ['first', 'second'], close: () => sealed.close() };
});

let store: MemoryCluster;
let lockedCalls: number;

beforeEach(() => {
  store = makeMemoryCluster({ now: () => 1_700_000_000_000 });
  lockedCalls = 0;
});

function over(seal: SealSource): SealedCluster {
  return new SealedCluster({ cluster: store, seal, namespaces: ['system'], onLocked: () => void (lockedCalls += 1) });
}

const value = Buffer.from('{"hash":"content"}').toString('base64');

function record(name = 'record', changes: Partial<SecretObject> = {}): SecretObject {
  const metadata = { name, namespace: 'system' };
  return { apiVersion: 'v1', kind: 'Secret', metadata, type: 'keywright.dev/credential', data: { record: value }, ...changes };
}

async function stored(name = 'record', namespace = 'system'): Promise<string> {
  const secret = await store.get<SecretObject>({ kind: 'Secret', namespace, name });
  return Buffer.from(secret?.data?.['record'] ?? '', 'base64').toString('latin1');
}

async function watch(cluster: SealedCluster): Promise<ReflectedEvent<SecretObject>[]> {
  const events: ReflectedEvent<SecretObject>[] = [];
  cluster.reflect<SecretObject>({ kind: 'Secret', namespace: 'system', onEvent: (event) => void events.push(event) });
  await settle();
  return events;
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const told = (events: readonly ReflectedEvent<SecretObject>[]): string[] =>
  events.map((event) =>
    event.type === 'Synced'
      ? 'Synced'
      : `${event.type} ${event.object.metadata.name} ${Buffer.from(event.object.data?.['record'] ?? '', 'base64').toString()}`,
  );

const reference = { kind: 'Secret', namespace: 'system', name: 'record' } as const;

describe('the sealed cluster', () => {
  it('stores our Secrets sealed, and gives them open however they are read', async () => {
    const cluster = over(new FakeSeal(sealKeysOf(first)));
    const created = await cluster.create(record());
    expect(created).toMatchObject({ outcome: 'written', object: { data: { record: value } } });
    expect(await stored()).toMatch(/^KWS1/);
    expect(await stored()).not.toContain('content');
    expect(await cluster.get<SecretObject>(reference)).toMatchObject({ data: { record: value } });
    expect(await cluster.list<SecretObject>({ kind: 'Secret', namespace: 'system' })).toMatchObject([{ data: { record: value } }]);
    expect(told(await watch(cluster))).toEqual(['Applied record {"hash":"content"}', 'Synced']);
  });

  it('touches no Secret of another type or namespace', async () => {
    const cluster = over(new FakeSeal(sealKeysOf(first)));
    await cluster.create(record('opaque', { type: 'Opaque' }));
    await cluster.create(record('theirs', { metadata: { name: 'theirs', namespace: 'team' } }));
    expect(await stored('opaque')).toContain('content');
    expect(await stored('theirs', 'team')).toContain('content');
  });

  it('tells nothing of what it cannot open, until its key comes', async () => {
    await over(new FakeSeal(sealKeysOf(first))).create(record());
    const seal = new FakeSeal(noSealKeys);
    const cluster = over(seal);
    const events = await watch(cluster);
    expect(told(events)).toEqual(['Synced']);
    expect(cluster.trouble()).toMatch(
      /^Secret system\/record cannot be opened: it is sealed with key [0-9a-f]{16}, and KEYWRIGHT_SEAL_KEY_FILE is not set$/,
    );
    expect(lockedCalls).toBe(1);
    await expect(cluster.get(reference)).rejects.toThrow(/cannot be opened/);
    await expect(cluster.list({ kind: 'Secret', namespace: 'system' })).rejects.toThrow(/cannot be opened/);
    seal.change(sealKeysOf(second));
    expect(cluster.trouble()).toMatch(/which is not in KEYWRIGHT_SEAL_KEY_FILE/);
    seal.change(sealKeysOf(second, first));
    expect(cluster.trouble()).toBeUndefined();
    expect(told(events)).toEqual(['Synced', 'Applied record {"hash":"content"}']);
  });

  it('has no trouble any more when what was locked is gone', async () => {
    await over(new FakeSeal(sealKeysOf(first))).create(record());
    const cluster = over(new FakeSeal(sealKeysOf(second)));
    await watch(cluster);
    expect(cluster.lockedCount).toBe(1);
    await store.remove(reference);
    await settle();
    expect(cluster.trouble()).toBeUndefined();
  });

  it('takes a Secret that is not sealed for locked, unless the key file allows it', async () => {
    await store.create(record());
    const strict = over(new FakeSeal(sealKeysOf(first)));
    await watch(strict);
    expect(strict.trouble()).toMatch(/it is not sealed/);
    const lenient = over(new FakeSeal(sealKeysOf(first, 'plain')));
    expect(await lenient.get<SecretObject>(reference)).toMatchObject({ data: { record: value } });
  });

  it('hands on what was moved or changed as it is: that is damage, and its reader says so', async () => {
    const cluster = over(new FakeSeal(sealKeysOf(first)));
    await cluster.create(record());
    const sealed = await store.get<SecretObject>(reference);
    await store.create(record('moved', { data: sealed?.data ?? {} }));
    const moved = await cluster.get<SecretObject>({ ...reference, name: 'moved' });
    expect(Buffer.from(moved?.data?.['record'] ?? '', 'base64').toString('latin1')).toMatch(/^KWS1/);
    expect(cluster.trouble()).toBeUndefined();
  });

  it('knows what is sealed otherwise than new Secrets are, and writes each anew once', async () => {
    await store.create(record('plain'));
    await over(new FakeSeal(sealKeysOf(first))).create(record('old'));
    const seal = new FakeSeal(sealKeysOf(second, first, 'plain'));
    const cluster = over(seal);
    await cluster.create(record('new'));
    await watch(cluster);
    const news: string[] = [];
    expect(cluster.stale((name) => news.push(name)).toSorted()).toEqual(['system/old', 'system/plain']);
    for (const name of ['system/old', 'system/plain', 'system/new', 'system/missing']) await cluster.reseal(name);
    await settle();
    expect(cluster.staleCount).toBe(0);
    const versions = store.objects().map(({ metadata }) => metadata.resourceVersion);
    for (const name of ['system/old', 'system/plain', 'system/new']) await cluster.reseal(name);
    expect(store.objects().map(({ metadata }) => metadata.resourceVersion)).toEqual(versions);
    expect(await cluster.get<SecretObject>({ ...reference, name: 'plain' })).toMatchObject({ data: { record: value } });

    seal.change(sealKeysOf('plain', second));
    expect(news.slice(-3).toSorted()).toEqual(['system/new', 'system/old', 'system/plain']);
    for (const name of ['system/old', 'system/plain', 'system/new']) await cluster.reseal(name);
    expect(await stored('plain')).toBe('{"hash":"content"}');
  });

  it('does not write anew over what somebody else has written meanwhile', async () => {
    const old = over(new FakeSeal(sealKeysOf(first)));
    await old.create(record());
    const cluster = over(new FakeSeal(sealKeysOf(second, first)));
    await watch(cluster);
    const known = await old.get<SecretObject>(reference);
    const original = store.replace.bind(store);
    store.replace = async (object) => {
      store.replace = original;
      await old.replace({ ...known, ...record(), metadata: known?.metadata ?? { name: '' }, data: { record: 'bmV3' } });
      return original(object);
    };
    await expect(cluster.reseal('system/record')).rejects.toThrow(/somebody else/);
    await cluster.reseal('system/record');
    expect(await cluster.get<SecretObject>(reference)).toMatchObject({ data: { record: 'bmV3' } });
    expect(cluster.staleCount).toBe(0);
  });
});
