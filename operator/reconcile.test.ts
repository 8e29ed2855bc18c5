import { afterEach, describe, expect, it } from 'vitest';
import type { VirtualKey } from '../core/resources.ts';
import { sha256Hex } from '../runtime/digest.ts';
import { ClusterError } from './cluster/cluster.ts';
import { providerKey, readyOf, World } from './test-world.ts';

let world = new World();

async function begin(settings?: ConstructorParameters<typeof World>[0]): Promise<World> {
  world = new World(settings);
  await world.start();
  return world;
}

afterEach(() => world.stop());

const hashOf = (letter: string) => letter.repeat(64);
const entry = (letter: string) => ({ hash: `sha256:${hashOf(letter)}` });

describe('brought hashes', () => {
  it('are in force as written, and out of force at once when they are taken out', async () => {
    await begin();
    await world.applyKey('a', {
      credential: { hashes: [entry('a'), { ...entry('b'), prefix: 'sk-acme', notAfter: '2026-03-01T00:00:00Z' }] },
    });
    await world.advance(5_000);
    expect(world.publishedKey('team/a')?.credentials).toMatchObject([
      { hash: hashOf('a') },
      { hash: hashOf('b'), prefix: 'sk-acme', notAfter: Date.parse('2026-03-01T00:00:00Z') },
    ]);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
    expect(await world.secret('a-virtualkey')).toBeUndefined();
    await world.applyKey('a', { credential: { hashes: [entry('b')] } });
    await world.settle();
    expect(world.publishedKey('team/a')?.credentials.map(({ hash }) => hash)).toEqual([hashOf('b')]);
    await world.applyKey('a', { credential: { hashes: [entry('a'), entry('b')] } });
    await world.advance(5_000);
    expect(world.publishedKey('team/a')?.credentials.map(({ hash }) => hash)).toEqual([hashOf('b')]);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'False', reason: 'CredentialRevoked' });
  });

  it('belong to the key that recorded them first, also when two come at once', async () => {
    await begin();
    await Promise.all([
      world.applyKey('a', { credential: { hashes: [entry('a')] } }),
      world.applyKey('b', { credential: { hashes: [entry('a')] } }, 'other'),
    ]);
    await world.advance(5_000);
    const owners = world.published().keys.filter(({ credentials }) => credentials.some(({ hash }) => hash === hashOf('a')));
    expect(owners).toHaveLength(1);
    const reasons = [await world.key('a'), await world.key('b', 'other')].map((key) => readyOf(key).reason);
    expect(reasons.toSorted()).toEqual(['DuplicateCredential', 'Issued']);
    const loser = [await world.key('a'), await world.key('b', 'other')].find((key) => readyOf(key).reason === 'DuplicateCredential');
    expect(JSON.stringify(loser?.status)).not.toContain(loser?.metadata.name === 'a' ? 'other/' : 'team/');
  });
});

describe('a key from a labelled Secret', () => {
  const first = 'sk-vault-0123456789-abcdefghijklmnop';
  const second = 'sk-vault-9876543210-abcdefghijklmnop';

  it('is taken, follows the Secret, and needs the label', async () => {
    await begin();
    await world.applyKey('a', { credential: { secretRef: { name: 'vault', previousKey: 'previous' } } });
    await world.applySecret('vault', { apiKey: first }, { labels: {} });
    await world.advance(5_000);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'False', reason: 'SecretNotFound' });
    const unlabelled = (await world.key('a'))?.status?.conditions?.find(({ type }) => type === 'Ready')?.message;
    expect(world.publishedKey('team/a')).toBeUndefined();
    await world.cluster.delete({ kind: 'Secret', namespace: 'team', name: 'vault' });
    await world.advance(5_000);
    expect((await world.key('a'))?.status?.conditions?.find(({ type }) => type === 'Ready')?.message).toBe(unlabelled);
    await world.applySecret('vault', { apiKey: `${first}\n` });
    await world.advance(5_000);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
    expect(world.publishedKey('team/a')?.credentials).toMatchObject([{ hash: sha256Hex(first), state: 'Active' }]);
    await world.applySecret('vault', { apiKey: second, previous: first });
    await world.advance(5_000);
    expect(world.publishedKey('team/a')?.credentials).toMatchObject([
      { hash: sha256Hex(second), state: 'Active' },
      { hash: sha256Hex(first), state: 'Retiring' },
    ]);
    expect(world.stored(({ metadata }) => metadata.name === 'vault')).not.toContain(second);
  });
});

describe('an edit that is not accepted', () => {
  it('leaves the last accepted record in force until it is mended', async () => {
    await begin();
    await world.applyChannel('openai', { provider: 'OpenAI', allowedNamespaces: { from: 'All' } });
    await world.applyKey('a', { limits: { rpm: 1 }, access: { channels: ['platform/openai'] } });
    await world.advance(10_000);
    await world.applyKey('a', { limits: { rpm: 100 }, access: { channels: ['platform/openai', 'platform/secret'] } });
    await world.advance(5_000);
    expect(world.publishedKey('team/a')).toMatchObject({ generation: 1, limits: { rpm: 1 }, access: { channels: ['platform/openai'] } });
    const refused = await world.key('a');
    expect(readyOf(refused)).toEqual({ status: 'False', reason: 'ChannelNotFound' });
    expect(refused?.status?.conditions?.find(({ type }) => type === 'Accepted')?.message).toContain('generation 1 stays in force');
    expect(refused?.status?.phase).toBe('Active');
    await world.stop();
    await world.start();
    await world.advance(5_000);
    expect(world.publishedKey('team/a')).toMatchObject({ generation: 1, limits: { rpm: 1 } });
    await world.applyChannel('secret', { provider: 'OpenAI', allowedNamespaces: { from: 'All' } });
    await world.advance(5_000);
    expect(world.publishedKey('team/a')).toMatchObject({ generation: 2, limits: { rpm: 100 } });
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
  });
});

describe('channels', () => {
  const spec = { provider: 'OpenAI', auth: { apiKeys: [{ name: 'one', secretRef: { name: 'provider', key: 'key' } }] } } as const;

  it('are published with their credentials, and follow a changed Secret', async () => {
    await begin();
    await world.applyChannel('openai', { ...spec, models: [{ name: 'gpt-4o' }] });
    await world.advance(5_000);
    expect(readyOf(await world.channel('openai'))).toEqual({ status: 'False', reason: 'SecretNotFound' });
    await world.applySecret('provider', { key: providerKey.reveal() }, { namespace: 'platform' });
    await world.applyKey('a', {}, 'platform');
    await world.applyKey('b', {}, 'team');
    await world.advance(10_000);
    expect(world.published().channels.map(({ id, credentials }) => [id, credentials[0]?.secret.reveal()])).toEqual([
      ['platform/openai', providerKey.reveal()],
    ]);
    const channel = await world.channel('openai');
    expect(readyOf(channel)).toEqual({ status: 'True', reason: 'Available' });
    expect(channel?.status).toMatchObject({ modelCount: 1, usedBy: 1 });
    await world.applySecret('provider', { key: 'sk-provider-other' }, { namespace: 'platform' });
    await world.advance(2_000);
    expect(world.published().channels[0]?.credentials[0]?.secret.reveal()).toBe('sk-provider-other');
    await world.applySecret('provider', { key: 'sk-provider-third' }, { namespace: 'platform', labels: {} });
    await world.advance(5_000);
    expect(world.published().channels[0]?.credentials[0]?.secret.reveal()).toBe('sk-provider-other');
    expect(readyOf(await world.channel('openai'))).toEqual({ status: 'False', reason: 'SecretNotFound' });
    await world.cluster.delete({ kind: 'Channel', namespace: 'platform', name: 'openai' });
    await world.advance(5_000);
    expect(world.published().channels).toEqual([]);
    expect(world.logLines.join('') + JSON.stringify(world.cluster.events())).not.toContain(providerKey.reveal());
  });

  it('resolve selectors by the labels of namespaces, and follow them', async () => {
    await begin();
    const namespace = (name: string, env: string) =>
      world.cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { env } } });
    await namespace('team', 'prod');
    await world.applyChannel('openai', {
      provider: 'OpenAI',
      allowedNamespaces: { from: 'Selector', selector: { matchLabels: { env: 'prod' } } },
    });
    await world.applyKey('a', { access: { channels: ['platform/openai'] }, credential: { hashes: [entry('a')] } });
    await world.advance(5_000);
    expect(world.published().channels[0]?.namespaces).toEqual(['team']);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
    await namespace('team', 'dev');
    await world.advance(5_000);
    expect(world.published().channels[0]?.namespaces).toEqual([]);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'False', reason: 'ChannelNotFound' });
  });

  it('refuse selectors where only some namespaces are watched', async () => {
    await begin({ watchNamespaces: ['platform'] });
    await world.applyChannel('openai', {
      provider: 'OpenAI',
      allowedNamespaces: { from: 'Selector', selector: { matchLabels: { env: 'prod' } } },
    });
    await world.advance(5_000);
    expect(readyOf(await world.channel('openai'))).toEqual({ status: 'False', reason: 'SelectorUnsupported' });
  });
});

describe('faults', () => {
  it('a key whose VirtualKey is missing from the list, but not deleted, is asked for before it ends', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    const { cluster } = world;
    const reflect = cluster.reflect.bind(cluster);
    await world.stop();
    // A list that came back too short: everything else is there.
    cluster.reflect = (options) =>
      options.kind === 'VirtualKey'
        ? reflect({ ...options, onEvent: (event) => (event.type === 'Synced' ? options.onEvent({ type: 'Synced' }) : undefined) })
        : reflect(options);
    await world.start();
    await world.advance(10_000);
    expect(world.publishedKey('team/a')?.state).toBe('Active');
    cluster.reflect = reflect;
  });

  it('a key that was deleted while no operator ran ends as soon as one runs', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    await world.stop();
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'a' });
    await world.start();
    await world.advance(1_000);
    expect(world.publishedKey('team/a')).toBeUndefined();
    expect((await world.record('team/a'))?.deletedAt).toBe(world.nowMs - 1_000);
  });

  it('a delivery Secret that the API server refuses is told, harms no other key, and is tried again', async () => {
    await begin();
    world.onWrite = ({ name }) => (name === 'a-virtualkey' ? new ClusterError('Forbidden', 'quota') : undefined);
    await world.applyKey('a');
    await world.applyKey('b');
    await world.advance(10_000);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'False', reason: 'SecretNotWritable' });
    expect(readyOf(await world.key('b'))).toEqual({ status: 'True', reason: 'Issued' });
    world.onWrite = () => undefined;
    await world.advance(120_000);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
  });

  it('a hash that could not be recorded is neither published nor delivered', async () => {
    await begin();
    world.onWrite = ({ namespace }) => (namespace === 'system' ? new ClusterError('Unavailable', 'no answer') : undefined);
    await world.applyKey('a');
    await world.applyKey('b', { credential: { hashes: [entry('b')] } });
    await world.advance(30_000);
    expect(world.published().keys).toEqual([]);
    expect(await world.secret('a-virtualkey')).toBeUndefined();
    world.onWrite = () => undefined;
    await world.advance(120_000);
    expect(
      world
        .published()
        .keys.map(({ id }) => id)
        .toSorted(),
    ).toEqual(['team/a', 'team/b']);
  });

  it('a hashed Secret that cannot be read is not overwritten, and the key goes on as the proxies know it', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    const hashed = world.cluster.objects().find(({ metadata }) => metadata.namespace === 'system' && metadata.name.startsWith('vk-'));
    if (hashed === undefined) throw new Error('no hashed Secret');
    const damaged = await world.cluster.apply({ ...hashed, data: { record: Buffer.from('{').toString('base64') } });
    await world.advance(10_000);
    expect((await world.secret(hashed.metadata.name, 'system'))?.metadata.resourceVersion).toBe(damaged.metadata.resourceVersion);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'False', reason: 'CredentialRecordInvalid' });
    expect(world.publishedKey('team/a')?.state).toBe('Active');
    await world.applyKey('a', { revoked: true });
    await world.settle();
    expect(world.publishedKey('team/a')?.state).toBe('Revoked');
  });

  it('nothing is written before everything has been listed, nor by a process that does not lead', async () => {
    world = new World();
    const { cluster } = world;
    const reflect = cluster.reflect.bind(cluster);
    const held: (() => void)[] = [];
    cluster.reflect = (options) => {
      const { onEvent } = options;
      if (options.kind !== 'Channel') return reflect(options);
      return reflect({
        ...options,
        onEvent(event) {
          if (event.type === 'Synced') held.push(() => onEvent({ type: 'Synced' }));
          else onEvent(event as Parameters<typeof onEvent>[0]);
        },
      });
    };
    await world.applyKey('a');
    await world.start();
    await world.advance(60_000);
    expect(world.writes).toEqual([]);
    expect(world.operator?.readiness()).toEqual(['waits for the list of Channels']);
    for (const release of held) release();
    await world.advance(10_000);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
    expect(world.operator?.readiness()).toEqual([]);
  });

  it('an older CRD stops everything before a key is published with less than its owner wrote', async () => {
    world = new World({ crdCheck: true });
    const crd = (name: string, version: string) =>
      world.cluster.apply({
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name, annotations: { 'keywright.dev/schema-version': version } },
      });
    await crd('virtualkeys.keywright.dev', '0');
    await crd('channels.keywright.dev', '1');
    await world.applyKey('a');
    await world.start();
    await world.advance(60_000);
    expect(world.writes).toEqual([]);
    expect(world.operator?.readiness().join()).toContain('virtualkeys.keywright.dev');
    await crd('virtualkeys.keywright.dev', '1');
    await world.advance(60_000);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
  });

  it('snapshot Secrets that somebody edits or removes are put right', async () => {
    await begin();
    await world.applyKey('a', { credential: { hashes: [entry('a')] } });
    await world.advance(5_000);
    const shard = world.cluster.objects().find(({ metadata }) => metadata.name.includes('-keys-'));
    for (const object of world.cluster
      .objects()
      .filter(({ metadata }) => metadata.namespace === 'snapshot' && metadata.name !== shard?.metadata.name)) {
      await world.cluster.delete({ kind: 'Secret', namespace: 'snapshot', name: object.metadata.name });
    }
    if (shard !== undefined) await world.cluster.apply({ ...shard, data: { document: 'AAAA' } });
    await world.advance(10_000);
    expect(world.published()).toMatchObject({ index: true, keys: [{ id: 'team/a' }] });
    expect(world.cluster.objects().filter(({ metadata }) => metadata.namespace === 'snapshot')).toHaveLength(73);
  });

  it('many keys at once are few writes of the snapshot', async () => {
    await begin();
    await world.advance(5_000);
    const before = world.writes.length;
    for (let index = 0; index < 200; index += 1)
      await world.applyKey(`k${index}`, { credential: { hashes: [{ hash: `sha256:${sha256Hex(String(index))}` }] } });
    await world.advance(10_000);
    const writes = world.writes.slice(before);
    expect(writes.filter(({ namespace }) => namespace === 'snapshot').length).toBeLessThanOrEqual(128);
    expect(writes.filter(({ verb }) => verb === 'patchStatus')).toHaveLength(200);
    const phases = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => ((await world.key(`k${index}`)) as VirtualKey).status?.phase),
    );
    expect(new Set(phases)).toEqual(new Set(['Active']));
  });
});
