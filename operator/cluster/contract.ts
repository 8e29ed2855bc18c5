import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cluster, ClusterObject, ReflectedEvent, ReflectOptions, SecretObject, WriteOutcome } from './cluster.ts';

export interface ClusterUnderTest {
  readonly cluster: Cluster;
  /** two namespaces that are there, empty, and used by nobody else */
  readonly namespaces: readonly [string, string];
  close(): Promise<void>;
}

interface VirtualKeyLike extends ClusterObject {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

/** What the operator may rely on, whatever the cluster is. */
export function describeClusterContract(name: string, makeCluster: () => Promise<ClusterUnderTest>): void {
  describe(`cluster contract: ${name}`, () => {
    let tested: ClusterUnderTest;
    let cluster: Cluster;
    let namespace: string;
    let counter = 0;

    beforeAll(async () => {
      tested = await makeCluster();
      cluster = tested.cluster;
      namespace = tested.namespaces[0];
    }, 60_000);
    afterAll(() => tested?.close());

    const secret = (changes: Partial<SecretObject> = {}, labels: Record<string, string> = {}): SecretObject => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `secret-${counter++}`, namespace, labels },
      type: 'Opaque',
      data: { value: 'YQ==' },
      ...changes,
    });
    const virtualKey = (): VirtualKeyLike => ({
      apiVersion: 'keywright.dev/v1alpha1',
      kind: 'VirtualKey',
      metadata: { name: `key-${counter++}`, namespace },
      spec: {},
    });

    it('creates once and stamps the object', async () => {
      const created = written(await cluster.create(secret({ metadata: { name: 'once', namespace } })));
      expect(created).toMatchObject({ apiVersion: 'v1', kind: 'Secret', type: 'Opaque', data: { value: 'YQ==' } });
      expect(created.metadata.uid).toMatch(/./);
      expect(created.metadata.resourceVersion).toMatch(/^\d+$/);
      expect(created.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(await cluster.create(secret({ metadata: { name: 'once', namespace } }))).toEqual({ outcome: 'exists' });
      expect(await cluster.get({ kind: 'Secret', namespace, name: 'once' })).toEqual(created);
    });

    it('gives undefined for what is not there', async () => {
      expect(await cluster.get({ kind: 'Secret', namespace, name: 'missing' })).toBeUndefined();
      expect(await cluster.get({ kind: 'Secret', namespace: 'no-such-namespace', name: 'missing' })).toBeUndefined();
    });

    it('replaces only what was read last', async () => {
      const created = written(await cluster.create(secret()));
      const second = written(await cluster.replace({ ...created, data: { value: 'Yg==' } }));
      expect(second.data).toEqual({ value: 'Yg==' });
      expect(second.metadata.uid).toBe(created.metadata.uid);
      expect(second.metadata.resourceVersion).not.toBe(created.metadata.resourceVersion);
      expect(await cluster.replace({ ...created, data: { value: 'Yw==' } })).toEqual({ outcome: 'conflict' });
      await cluster.remove({ kind: 'Secret', namespace, name: created.metadata.name });
      expect(await cluster.replace({ ...second, data: { value: 'Yw==' } })).toEqual({ outcome: 'gone' });
    });

    it('conflicts when the name was made anew since', async () => {
      const first = written(await cluster.create(secret()));
      await cluster.remove({ kind: 'Secret', namespace, name: first.metadata.name });
      written(await cluster.create(secret({ metadata: { name: first.metadata.name, namespace } })));
      expect(await cluster.replace({ ...first, data: {} })).toEqual({ outcome: 'conflict' });
    });

    it('writes nothing when a replacement changes nothing', async () => {
      const created = written(await cluster.create(secret()));
      const again = written(await cluster.replace(created));
      expect(again.metadata.resourceVersion).toBe(created.metadata.resourceVersion);
    });

    it('refuses a replacement without a resourceVersion as a bug', async () => {
      await expect((async () => cluster.replace(secret()))()).rejects.toThrow(TypeError);
    });

    it('refuses what the server finds invalid, in words without the values', async () => {
      const created = written(await cluster.create(secret({ data: { value: 'c2VjcmV0LXZhbHVl' } })));
      const failure = await cluster.replace({ ...created, type: 'keywright.dev/other' }).catch((error: unknown) => error);
      expect(failure).toMatchObject({ name: 'ClusterError', reason: 'Invalid' });
      expect(String(failure)).not.toContain('c2VjcmV0LXZhbHVl');
    });

    it('counts generations by the spec alone', async () => {
      const created = written(await cluster.create(virtualKey()));
      expect(created.metadata.generation).toBe(1);
      const labelled = written(await cluster.replace({ ...created, metadata: { ...created.metadata, labels: { a: 'b' } } }));
      expect(labelled.metadata.generation).toBe(1);
      const suspended = written(await cluster.replace({ ...labelled, spec: { ...labelled.spec, suspended: true } }));
      expect(suspended.metadata.generation).toBe(2);
      const patched = written(await cluster.patchStatus(suspended, { ...suspended.status, observedGeneration: 2 }));
      expect(patched.metadata.generation).toBe(2);
    });

    it('keeps status and the rest apart', async () => {
      const created = written(await cluster.create({ ...virtualKey(), status: { phase: 'Active', message: 'planted' } }));
      expect(created.status?.['message']).toBeUndefined();
      const patched = written(await cluster.patchStatus(created, { ...created.status, phase: 'Active', observedGeneration: 1 }));
      expect(patched.status).toMatchObject({ phase: 'Active', observedGeneration: 1 });
      expect(patched.spec).toEqual(created.spec);
      const replaced = written(
        await cluster.replace({ ...patched, spec: { ...patched.spec, suspended: true }, status: { phase: 'Failed' } }),
      );
      expect(replaced.status).toMatchObject({ phase: 'Active' });
    });

    it('leaves exactly the status that was given', async () => {
      const created = written(await cluster.create(virtualKey()));
      const first = written(await cluster.patchStatus(created, { phase: 'Active', observedGeneration: 1, prefix: 'sk-kw-abcd' }));
      const second = written(await cluster.patchStatus(first, { phase: 'Pending', observedGeneration: 1 }));
      expect(second.status).toEqual({ phase: 'Pending', observedGeneration: 1 });
      const unchanged = written(await cluster.patchStatus(second, { phase: 'Pending', observedGeneration: 1 }));
      expect(unchanged.metadata.resourceVersion).toBe(second.metadata.resourceVersion);
    });

    it('patches the status only of what was read last', async () => {
      const created = written(await cluster.create(virtualKey()));
      written(await cluster.patchStatus(created, { phase: 'Active' }));
      expect(await cluster.patchStatus(created, { phase: 'Failed' })).toEqual({ outcome: 'conflict' });
      await cluster.remove({ kind: 'VirtualKey', namespace, name: created.metadata.name });
      expect(await cluster.patchStatus(created, { phase: 'Failed' })).toEqual({ outcome: 'gone' });
    });

    it('removes twice without complaint', async () => {
      const created = written(await cluster.create(secret()));
      const reference = { kind: 'Secret', namespace, name: created.metadata.name } as const;
      await cluster.remove(reference);
      await cluster.remove(reference);
      expect(await cluster.get(reference)).toBeUndefined();
    });

    it('removes only what was read, where that is asked for', async () => {
      const first = written(await cluster.create(secret()));
      const second = written(await cluster.replace({ ...first, data: { other: 'dmFsdWU=' } }));
      const reference = { kind: 'Secret', namespace, name: first.metadata.name } as const;
      await cluster.remove(reference, { resourceVersion: first.metadata.resourceVersion ?? '' });
      expect(await cluster.get(reference)).toBeDefined();
      await cluster.remove(reference, { resourceVersion: second.metadata.resourceVersion ?? '' });
      expect(await cluster.get(reference)).toBeUndefined();
    });

    it('keeps an object with finalizers until they are gone', async () => {
      const metadata = { name: `held-${counter++}`, namespace, finalizers: ['example.com/held'] };
      const created = written(await cluster.create<VirtualKeyLike>({ ...virtualKey(), metadata }));
      const seen = watch(cluster, { kind: 'VirtualKey', namespace, fieldSelector: `metadata.name=${metadata.name}` });
      await cluster.remove({ kind: 'VirtualKey', namespace, name: metadata.name });
      const held = await cluster.get<VirtualKeyLike>({ kind: 'VirtualKey', namespace, name: metadata.name });
      expect(held?.metadata.deletionTimestamp).toMatch(/^\d{4}-/);
      expect(held?.metadata.uid).toBe(created.metadata.uid);
      if (held !== undefined) await cluster.replace({ ...held, metadata: { ...held.metadata, finalizers: [] } });
      expect(await cluster.get({ kind: 'VirtualKey', namespace, name: metadata.name })).toBeUndefined();
      await seen.until((events) => events.some((event) => event.type === 'Deleted'));
      await seen.stop();
    });

    it('lists by namespace, label and field, in order', async () => {
      const other = tested.namespaces[1];
      const wanted = { team: 'search', tier: 'gold' };
      for (const [name, place, labels] of [
        ['list-b', namespace, wanted],
        ['list-a', namespace, wanted],
        ['list-c', namespace, { team: 'other' }],
        ['list-a', other, wanted],
      ] as const) {
        written(await cluster.create(secret({ metadata: { name, namespace: place, labels }, type: 'keywright.dev/listed' })));
      }
      const names = async (selection: Partial<Omit<ReflectOptions<SecretObject>, 'onEvent'>>) =>
        (await cluster.list<SecretObject>({ kind: 'Secret', ...selection })).map(
          ({ metadata }) => `${metadata.namespace}/${metadata.name}`,
        );
      expect(await names({ namespace, labelSelector: 'team=search' })).toEqual([`${namespace}/list-a`, `${namespace}/list-b`]);
      expect(await names({ labelSelector: 'team in (search, other),tier!=silver' })).toHaveLength(4);
      expect(await names({ namespace, labelSelector: 'team,!tier' })).toEqual([`${namespace}/list-c`]);
      expect(await names({ namespace: other, labelSelector: 'tier notin (silver),team' })).toEqual([`${other}/list-a`]);
      expect(await names({ namespace, fieldSelector: 'type=keywright.dev/listed,metadata.name!=list-a' })).toEqual([
        `${namespace}/list-b`,
        `${namespace}/list-c`,
      ]);
    });

    it('gives only metadata when only metadata is asked for', async () => {
      const created = written(await cluster.create(secret({}, { only: 'metadata' })));
      const each: string[] = [];
      await cluster.listEach({ kind: 'Secret', namespace }, ({ metadata }) => void each.push(metadata.name));
      expect(each).toEqual((await cluster.list({ kind: 'Secret', namespace })).map(({ metadata }) => metadata.name));
      expect(await cluster.list({ kind: 'Secret', namespace, labelSelector: 'only=nobody', metadataOnly: true })).toEqual([]);
      const listed = await cluster.list<SecretObject>({ kind: 'Secret', namespace, labelSelector: 'only=metadata', metadataOnly: true });
      expect(listed).toHaveLength(1);
      expect(Object.keys(listed[0] ?? {}).sort()).toEqual(['apiVersion', 'kind', 'metadata']);
      expect(listed[0]).toMatchObject({ apiVersion: 'v1', kind: 'Secret', metadata: { uid: created.metadata.uid } });
      const seen = watch<SecretObject>(cluster, { kind: 'Secret', namespace, labelSelector: 'only=metadata', metadataOnly: true });
      await seen.until((events) => events.some((event) => event.type === 'Synced'));
      written(await cluster.create(secret({}, { only: 'metadata' })));
      await seen.until((events) => events.length >= 3);
      await seen.stop();
      const objects = seen.events.flatMap((event) => (event.type === 'Applied' ? [event.object] : []));
      expect(objects.map((object) => Object.keys(object).sort())).toEqual([1, 2].map(() => ['apiVersion', 'kind', 'metadata']));
      expect(objects.map((object) => object.kind)).toEqual(['Secret', 'Secret']);
    });

    it('reflects what is there, Synced, then every change', async () => {
      const labels = { reflect: 'one' };
      const first = written(await cluster.create(secret({}, labels)));
      const seen = watch<SecretObject>(cluster, { kind: 'Secret', namespace, labelSelector: 'reflect=one' });
      expect(seen.events).toEqual([]);
      await seen.until((events) => events.some((event) => event.type === 'Synced'));
      const changed = written(await cluster.replace({ ...first, data: { value: 'Yg==' } }));
      await cluster.remove({ kind: 'Secret', namespace, name: first.metadata.name });
      await seen.until((events) => events.some((event) => event.type === 'Deleted'));
      await seen.stop();
      expect(seen.events.map(toLine)).toEqual([
        `Applied ${first.metadata.name} ${first.metadata.resourceVersion}`,
        'Synced',
        `Applied ${first.metadata.name} ${changed.metadata.resourceVersion}`,
        `Deleted ${first.metadata.name} seen=true`,
      ]);
    });

    it('tells an object that leaves the selection as deleted, and one that enters as applied', async () => {
      const seen = watch<SecretObject>(cluster, { kind: 'Secret', namespace, labelSelector: 'selected=yes' });
      await seen.until((events) => events.length === 1);
      const created = written(await cluster.create(secret({}, { selected: 'no' })));
      const label = (object: SecretObject, selected: string) => ({ ...object, metadata: { ...object.metadata, labels: { selected } } });
      const entered = written(await cluster.replace(label(created, 'yes')));
      written(await cluster.replace(label(entered, 'no')));
      await seen.until((events) => events.length === 3);
      await seen.stop();
      expect(seen.events.map((event) => event.type)).toEqual(['Synced', 'Applied', 'Deleted']);
    });

    it('is Synced at once where nothing is, and silent after stop', async () => {
      const seen = watch<SecretObject>(cluster, { kind: 'Secret', namespace, labelSelector: 'nobody=here' });
      await seen.until((events) => events.length === 1);
      await seen.stop();
      written(await cluster.create(secret({}, { nobody: 'here' })));
      await cluster.list({ kind: 'Secret', namespace });
      expect(seen.events).toEqual([{ type: 'Synced' }]);
    });

    it('goes on after a handler that throws', async () => {
      const names: string[] = [];
      const reflector = cluster.reflect<SecretObject>({
        kind: 'Secret',
        namespace,
        labelSelector: 'throws=yes',
        onEvent: (event) => {
          names.push(event.type);
          if (event.type === 'Applied') throw new Error('a bug in a handler');
        },
      });
      await settled(() => names.length === 1);
      written(await cluster.create(secret({}, { throws: 'yes' })));
      written(await cluster.create(secret({}, { throws: 'yes' })));
      await settled(() => names.length === 3);
      await reflector.stop();
      expect(names).toEqual(['Synced', 'Applied', 'Applied']);
    });

    it('records Events without complaint', async () => {
      const created = written(await cluster.create(virtualKey()));
      cluster.recordEvent({ regarding: created, type: 'Normal', reason: 'KeyIssued', message: 'a key was issued' });
      const nowhere = { ...created, metadata: { name: 'x', namespace: 'no-such-namespace' } };
      cluster.recordEvent({ regarding: nowhere, type: 'Warning', reason: 'WeakKey', message: 'nobody can see this' });
    });
  });
}

function written<T>(outcome: WriteOutcome<T>): T {
  if (outcome.outcome !== 'written') throw new Error(`expected a write, got ${outcome.outcome}`);
  return outcome.object;
}

function watch<T extends ClusterObject>(cluster: Cluster, selection: Omit<ReflectOptions<T>, 'onEvent'>) {
  const events: ReflectedEvent<T>[] = [];
  const reflector = cluster.reflect<T>({ ...selection, onEvent: (event) => void events.push(event) });
  return {
    events,
    stop: () => reflector.stop(),
    until: (met: (seen: readonly ReflectedEvent<T>[]) => boolean) => settled(() => met(events)),
  };
}

async function settled(met: () => boolean): Promise<void> {
  await expect.poll(met, { timeout: 45_000, interval: 10 }).toBe(true);
}

function toLine(event: ReflectedEvent<ClusterObject>): string {
  if (event.type === 'Synced') return 'Synced';
  if (event.type === 'Deleted') return `Deleted ${event.object.metadata.name} seen=${event.seen}`;
  return `Applied ${event.object.metadata.name} ${event.object.metadata.resourceVersion}`;
}
