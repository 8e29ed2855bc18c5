import { afterEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../runtime/digest.ts';
import { readyOf, settleMs, startMs, World } from './test-world.ts';

let world = new World();

async function begin(settings?: ConstructorParameters<typeof World>[0]): Promise<World> {
  world = new World(settings);
  await world.start();
  return world;
}

afterEach(async () => {
  await world.stop();
});

describe('a generated key', () => {
  it('is issued, published, delivered and reported', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    const key = await world.delivered('a');
    expect(key).toMatch(/^sk-kw-[0-9A-Za-z]{10}-[0-9A-Za-z]{49}$/);
    const published = world.publishedKey('team/a');
    expect(published?.credentials).toEqual([expect.objectContaining({ hash: sha256Hex(key ?? ''), state: 'Active' })]);
    const virtualKey = await world.key('a');
    expect(readyOf(virtualKey)).toEqual({ status: 'True', reason: 'Issued' });
    expect(virtualKey?.status).toMatchObject({ phase: 'Active', keyId: 'team/a', secretName: 'a-virtualkey', observedGeneration: 1 });
    expect(virtualKey?.status?.prefix).toBe(`${key?.slice(0, 10)}…`);
    expect(world.reasons()).toEqual(['KeyIssued']);
  });

  it('is published, and stays so for the settle time, before anybody can read it', async () => {
    await begin();
    const order: string[] = [];
    let deliveredAtMs = 0;
    world.onWrite = ({ namespace, name }) => {
      if (name.startsWith('a-virtualkey')) {
        deliveredAtMs = world.nowMs;
        order.push(
          `deliver: ${
            world
              .publishedKey('team/a')
              ?.credentials.map(({ state }) => state)
              .join() ?? 'unpublished'
          }`,
        );
      } else if (namespace === 'snapshot' && world.publishedKey('team/a') === undefined) order.push('publish');
      return undefined;
    };
    await world.applyKey('a');
    await world.advance(10_000);
    expect(order.at(0)).toBe('publish');
    expect(order.at(-1)).toBe('deliver: Pending');
    expect(deliveredAtMs - startMs).toBeGreaterThanOrEqual(settleMs);
  });

  it('writes one status, not one for every step', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    expect(world.writes.filter(({ verb }) => verb === 'patchStatus')).toHaveLength(1);
  });

  it('never takes over a planted Secret: the value is not accepted and a new key is issued', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    const first = (await world.delivered('a')) ?? '';
    const planted = 'sk-planted-0123456789-abcdefghijklmnopqrstuvwxyz';
    const secret = await world.secret('a-virtualkey');
    if (secret === undefined) throw new Error('not delivered');
    await world.cluster.apply({ ...secret, data: { ...secret.data, apiKey: Buffer.from(planted).toString('base64') } });
    await world.advance(10_000);
    const second = (await world.delivered('a')) ?? '';
    expect([first, planted]).not.toContain(second);
    expect(world.publishedKey('team/a')?.credentials.map(({ hash, state }) => [hash, state])).toEqual([
      [sha256Hex(first), 'Retiring'],
      [sha256Hex(second), 'Active'],
    ]);
    expect(world.reasons()).toContain('DeliverySecretTampered');
  });

  it('does not adopt a Secret that was there before, whoever it claims to belong to', async () => {
    await begin();
    await world.applySecret(
      'a-virtualkey',
      { apiKey: 'sk-planted-0123456789-abcdefghijklmnopqrstuvwxyz' },
      { labels: { 'keywright.dev/key': 'a' } },
    );
    await world.applyKey('a');
    await world.advance(10_000);
    expect(await world.delivered('a')).toContain('planted');
    expect(world.publishedKey('team/a')).toBeUndefined();
    const virtualKey = await world.key('a');
    expect(readyOf(virtualKey)).toEqual({ status: 'False', reason: 'SecretNotOwned' });
    expect(virtualKey?.status?.phase).toBe('Failed');
    expect(virtualKey?.status?.conditions?.some(({ type, status }) => type === 'Stalled' && status === 'True')).toBe(true);
    expect(world.reasons()).toEqual(['SecretNotOwned']);
    await world.cluster.delete({ kind: 'Secret', namespace: 'team', name: 'a-virtualkey' });
    await world.advance(120_000);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
  });

  it('is made anew when its Secret was deleted by hand; the former one works until its overlap ends', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    const first = sha256Hex((await world.delivered('a')) ?? '');
    await world.cluster.delete({ kind: 'Secret', namespace: 'team', name: 'a-virtualkey' });
    await world.advance(10_000);
    const second = sha256Hex((await world.delivered('a')) ?? '');
    expect(second).not.toBe(first);
    const retiring = world.publishedKey('team/a')?.credentials.find(({ state }) => state === 'Retiring');
    expect(retiring?.hash).toBe(first);
    expect(retiring?.notAfter).toBeGreaterThan(startMs + 86_400_000);
    await world.advance(90_000_000);
    expect(world.publishedKey('team/a')?.credentials.map(({ hash }) => hash)).toEqual([second]);
    expect((await world.record('team/a'))?.revokedHashes).toEqual([first]);
    expect(world.reasons()).toEqual(['KeyIssued', 'DeliverySecretRecreated', 'KeyRotated', 'OverlapEnded']);
  });

  it('is another key when the VirtualKey is made again', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    const first = sha256Hex((await world.delivered('a')) ?? '');
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'a' });
    await world.settle();
    expect(world.publishedKey('team/a')).toBeUndefined();
    expect(await world.record('team/a')).toMatchObject({ gen: 2, credentials: [], revokedHashes: [first], deletedAt: world.nowMs });
    await world.applyKey('a');
    await world.advance(10_000);
    const second = sha256Hex((await world.delivered('a')) ?? '');
    expect(second).not.toBe(first);
    expect(world.publishedKey('team/a')).toMatchObject({ gen: 3, credentials: [{ hash: second, state: 'Active' }] });
    expect((await world.record('team/a'))?.revokedHashes).toEqual([first]);
  });

  it('follows changes of its delivery without becoming another key', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    const key = await world.delivered('a');
    await world.applyKey('a', {
      delivery: { secretKey: 'token', environment: ['OpenAI', 'Anthropic'], template: { labels: { team: 'x' }, data: { note: 'hello' } } },
    });
    await world.advance(10_000);
    const secret = await world.secret('a-virtualkey');
    const entries = Object.fromEntries(
      Object.entries(secret?.data ?? {}).map(([name, value]) => [name, Buffer.from(value, 'base64').toString()]),
    );
    expect(entries).toEqual({
      token: key,
      baseURL: 'https://gateway.example',
      OPENAI_API_KEY: key,
      OPENAI_BASE_URL: 'https://gateway.example/v1',
      ANTHROPIC_API_KEY: key,
      ANTHROPIC_BASE_URL: 'https://gateway.example',
      note: 'hello',
    });
    expect(secret?.type).toBe('Opaque');
    expect(secret?.metadata.labels).toEqual({ 'keywright.dev/key': 'a', team: 'x' });
    expect(secret?.metadata.ownerReferences).toEqual([
      expect.objectContaining({ kind: 'VirtualKey', name: 'a', controller: true, blockOwnerDeletion: false }),
    ]);
    expect(world.publishedKey('team/a')?.credentials).toHaveLength(1);
  });

  it('is stored in plaintext nowhere but in the delivery Secret', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    const key = (await world.delivered('a')) ?? '';
    const elsewhere =
      world.stored(({ metadata }) => metadata.name === 'a-virtualkey') + JSON.stringify(world.cluster.events()) + world.logLines.join('');
    for (const form of [key, Buffer.from(key).toString('base64'), key.slice(-49)]) expect(elsewhere).not.toContain(form);
    expect(JSON.stringify(world.published())).not.toContain(key);
  });
});

describe('ends', () => {
  it('revokes at once, for ever, and takes the plaintext out of the Secret', async () => {
    await begin();
    await world.applyKey('a', { delivery: { environment: ['OpenAI'] } });
    await world.advance(10_000);
    const hash = sha256Hex((await world.delivered('a')) ?? '');
    await world.applyKey('a', { revoked: true, delivery: { environment: ['OpenAI'] } });
    await world.settle();
    expect(world.publishedKey('team/a')).toMatchObject({ state: 'Revoked', gen: 2, credentials: [{ hash }] });
    await world.advance(10_000);
    expect(Object.keys((await world.secret('a-virtualkey'))?.data ?? {}).toSorted()).toEqual(['OPENAI_BASE_URL', 'baseURL']);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Revoked' });
    expect(world.reasons()).toEqual(['KeyIssued', 'KeyRevoked', 'SecretRedacted']);
    await world.applyKey('a', { revoked: false });
    await world.advance(10_000);
    expect(world.publishedKey('team/a')?.state).toBe('Revoked');
    expect((await world.key('a'))?.status?.phase).toBe('Revoked');
    expect((await world.record('team/a'))?.revokedHashes).toEqual([hash]);
  });

  it('stays revoked when the hashed Secret comes back from an older backup', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    const name =
      world.cluster.objects().find(({ metadata }) => metadata.namespace === 'system' && metadata.name.startsWith('vk-'))?.metadata.name ??
      '';
    const backup = await world.secret(name, 'system');
    await world.applyKey('a', { revoked: true });
    await world.advance(10_000);
    await world.applyKey('a', {});
    if (backup !== undefined) await world.cluster.apply(backup);
    await world.advance(10_000);
    expect(world.publishedKey('team/a')).toMatchObject({ state: 'Revoked', gen: 3 });
  });

  it('suspends at once and resumes, each a generation of its own', async () => {
    await begin();
    await world.applyKey('a');
    await world.advance(10_000);
    await world.applyKey('a', { suspended: true });
    await world.settle();
    expect(world.publishedKey('team/a')).toMatchObject({ state: 'Suspended', gen: 2 });
    await world.advance(5_000);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Suspended' });
    expect((await world.key('a'))?.status?.phase).toBe('Suspended');
    await world.applyKey('a');
    await world.advance(5_000);
    expect(world.publishedKey('team/a')).toMatchObject({ state: 'Active', gen: 3 });
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
  });

  it('reports expiry by itself and publishes the time beforehand', async () => {
    await begin();
    await world.applyKey('a', { expiresAt: '2026-01-05T01:00:00Z' });
    await world.advance(10_000);
    expect(world.publishedKey('team/a')?.expiresAt).toBe(Date.parse('2026-01-05T01:00:00Z'));
    expect((await world.key('a'))?.status?.phase).toBe('Active');
    await world.advance(3_600_000);
    expect((await world.key('a'))?.status?.phase).toBe('Expired');
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Expired' });
    expect(world.reasons()).toEqual(['KeyIssued', 'ExpiresSoon', 'KeyExpired']);
  });

  it('counts an object with foreign finalizers as deleted as soon as its deletion was asked for', async () => {
    await begin();
    const key = await world.applyKey('a');
    await world.cluster.apply({ ...key, metadata: { ...key.metadata, finalizers: ['example.com/held'] } });
    await world.advance(10_000);
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'a' });
    await world.settle();
    expect(world.publishedKey('team/a')).toBeUndefined();
    expect((await world.record('team/a'))?.deletedAt).toBe(world.nowMs);
  });
});

describe('at rest', () => {
  it('writes nothing, however often everything is looked at', async () => {
    await begin();
    await world.cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team', labels: { env: 'prod' } } });
    await world.applySecret('provider', { key: 'sk-provider-0123456789-abcdefghij' }, { namespace: 'platform' });
    await world.applyChannel('openai', {
      provider: 'OpenAI',
      auth: { apiKeys: [{ name: 'one', secretRef: { name: 'provider', key: 'key' } }] },
      allowedNamespaces: { from: 'All' },
    });
    await world.applyKey('generated', { access: { models: ['gpt-4o'] } });
    await world.applyKey('wrong', { access: { channels: ['nowhere'] } });
    await world.applyKey('hashes', { credential: { hashes: [{ hash: `sha256:${'a'.repeat(64)}` }] } });
    await world.applyKey('missing', { credential: { secretRef: { name: 'none' } } });
    await world.advance(60_000);
    const before = world.writes.length;
    for (let round = 0; round < 50; round += 1) {
      await world.stop();
      await world.start();
      await world.advance(10_000);
    }
    expect(world.writes.slice(before)).toEqual([]);
  });
});
