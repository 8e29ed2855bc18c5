import { afterEach, describe, expect, it } from 'vitest';
import type { VirtualKeySpec } from '../../core/resources.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { acceptLossAnnotation, revokedShardName, shardOf } from './revoked-shards.ts';
import { crashAfter, readyOf, World } from '../test-world.ts';

const hourMs = 3_600_000;
const retentionMs = 90 * 24 * hourMs;

let world = new World();
afterEach(() => world.stop());

async function begin(settings: ConstructorParameters<typeof World>[0] = {}): Promise<void> {
  world = new World(settings);
  await world.start();
}

const entry = (hash: string) => ({ hash: `sha256:${hash}` });
const brought = (...hashes: string[]): VirtualKeySpec => ({ credential: { hashes: hashes.map(entry) } });
const [a, b, c] = ['a', 'b', 'c'].map((letter) => sha256Hex(letter)) as [string, string, string];

async function reasonOf(name: string): Promise<string> {
  return readyOf(await world.key(name)).reason;
}

async function restart(): Promise<void> {
  await world.stop();
  await world.start();
  await world.advance(5_000);
}

/** Takes `a` out of a key that has also `b`, and files it. */
async function revokeA(): Promise<void> {
  await world.applyKey('one', brought(a, b));
  await world.advance(5_000);
  await world.applyKey('one', brought(b));
  await world.advance(10 * 60_000);
}

function shards(): string[] {
  return world.cluster
    .objects()
    .filter(({ metadata }) => /^revoked-[0-9a-f]{2}$/.test(metadata.name))
    .map(({ metadata }) => metadata.name);
}

describe('revoked hashes', () => {
  it('are barred in the record first, filed later in one write, and leave the record with its next write', async () => {
    await begin();
    await world.applyKey('one', brought(a, b));
    await world.advance(5_000);
    await world.applyKey('one', brought(b));
    await world.advance(5_000);
    expect(shards()).toEqual([]);
    expect((await world.record('team/one'))?.revokedHashes).toEqual([a]);
    await world.advance(10 * 60_000);
    expect(shards()).toEqual([revokedShardName(shardOf(a))]);
    const before = world.writes.length;
    await restart();
    await world.advance(24 * hourMs);
    expect(world.writes.length).toBe(before);
    await world.applyKey('one', brought(c));
    await world.advance(5_000);
    expect(await world.record('team/one')).toMatchObject({ revokedHashes: [b], filedHashes: 1 });
  });

  it('are refused for ever, for every key, by name of the entry alone', async () => {
    await begin();
    await revokeA();
    await world.applyKey('one', brought(c));
    await world.advance(5_000);
    await restart();
    for (const name of ['one', 'two']) {
      await world.applyKey(name, brought(c, a));
      await world.advance(5_000);
    }
    await world.applyKey('three', brought(a, sha256Hex('three')));
    await world.advance(5_000);
    expect(await reasonOf('one')).toBe('CredentialRevoked');
    expect(await reasonOf('three')).toBe('CredentialRevoked');
    expect(world.publishedKey('team/one')?.credentials.map(({ hash }) => hash)).toEqual([c]);
    expect(world.publishedKey('team/three')?.credentials.map(({ hash }) => hash)).toEqual([sha256Hex('three')]);
    const accepted = world.published().keys.flatMap(({ credentials }) => credentials.map(({ hash }) => hash));
    expect(accepted).not.toContain(a);
  });

  it('of a Secret that brings one are refused too', async () => {
    await begin();
    const value = 'sk-vault-0123456789-abcdefghijklmnop';
    await world.applyKey('one', brought(sha256Hex(value), b));
    await world.advance(5_000);
    await world.applyKey('one', brought(b));
    await world.advance(10 * 60_000);
    await world.applySecret('vault', { apiKey: value });
    await world.applyKey('two', { credential: { secretRef: { name: 'vault' } } });
    await world.advance(5_000);
    expect(await reasonOf('two')).toBe('CredentialRevoked');
    expect(world.publishedKey('team/two')).toBeUndefined();
  });

  it('are barred only by the key that owned them', async () => {
    await begin();
    await world.applyKey('one', brought(a));
    await world.advance(5_000);
    // Recorded by an operator that had not seen the other claim yet.
    await world.applyKey('two', brought(b));
    await world.advance(5_000);
    const record = await world.record('team/two');
    const secret = world.cluster.objects().find(({ metadata }) => metadata.name.startsWith('vk-team-two'));
    if (record === undefined || secret === undefined) throw new Error('no record');
    await world.stop();
    const second = { ...record, credentials: [...record.credentials, { hash: a, prefix: '', state: 'Active', createdAt: world.nowMs }] };
    await world.cluster.apply({ ...secret, data: { record: Buffer.from(JSON.stringify(second)).toString('base64') } });
    await world.applyKey('two', { ...brought(a, b), revoked: true });
    await world.start();
    await world.advance(5_000);
    expect((await world.record('team/two'))?.revokedHashes).toEqual([b]);
    expect(world.publishedKey('team/one')).toMatchObject({ state: 'Active', credentials: [{ hash: a }] });
    expect(await reasonOf('one')).toBe('Issued');
  });

  it('that a stopped filing left behind are filed by the next operator, none is lost at any write', async () => {
    for (let crashAt = 0; crashAt < 20; crashAt += 1) {
      await begin();
      await world.applyKey('one', brought(a, b, c));
      await world.advance(5_000);
      let crashed = false;
      await world.applyKey('one', brought(c));
      await world.advance(5_000);
      const dies = crashAfter(crashAt);
      world.onWrite = () => {
        const error = dies();
        crashed ||= error !== undefined;
        return error;
      };
      await world.advance(6 * 60_000);
      await world.applyKey('one', brought(sha256Hex('d')));
      await world.advance(5_000);
      await world.stop();
      world.onWrite = () => undefined;
      await world.start();
      await world.advance(12 * 60_000);
      await world.applyKey('two', brought(a, b, c, sha256Hex('e')));
      await world.advance(5_000);
      expect(world.publishedKey('team/two')?.credentials.map(({ hash }) => hash)).toEqual([sha256Hex('e')]);
      await world.stop();
      if (!crashed) return;
    }
    throw new Error('the filing never comes to its end');
  });

  it('are written again when their Secret is removed, emptied or set back while an operator runs', async () => {
    await begin();
    await revokeA();
    const [name = ''] = shards();
    // With this write the record no longer has it.
    await world.applyKey('one', brought(c));
    await world.advance(5_000);
    await world.cluster.delete({ kind: 'Secret', namespace: 'system', name });
    await world.advance(5_000);
    expect(shards()).toContain(name);
    const secret = await world.secret(name, 'system');
    if (secret === undefined) throw new Error('no shard');
    await world.cluster.apply({ ...secret, data: { hashes: '' } });
    await world.advance(5_000);
    await restart();
    await world.applyKey('two', brought(a));
    await world.advance(5_000);
    expect(await reasonOf('two')).toBe('CredentialRevoked');
  });

  it('whose Secret was lost while nobody looked are told, nothing is taken anew, and what was accepted goes on', async () => {
    await begin();
    await revokeA();
    await world.applyKey('one', brought(c));
    await world.advance(5_000);
    await world.stop();
    const [name = ''] = shards();
    const before = await world.secret(name, 'system');
    await world.cluster.delete({ kind: 'Secret', namespace: 'system', name });
    await world.start();
    await world.advance(5_000);
    expect(world.logLines.join('')).toContain(`"secrets":["${name}"]`);
    await world.applyKey('two', brought(a));
    await world.advance(15 * 60_000);
    expect(readyOf(await world.key('two'))).toEqual({ status: 'False', reason: 'RevokedHashesLost' });
    expect(world.publishedKey('team/two')).toBeUndefined();
    expect(await reasonOf('one')).toBe('Issued');
    if (before === undefined) throw new Error('no shard');
    await world.cluster.apply({ ...before, metadata: { name, namespace: 'system' } });
    await world.advance(15 * 60_000);
    expect(await reasonOf('two')).toBe('CredentialRevoked');
  });

  it('whose loss somebody accepts begin anew', async () => {
    await begin();
    await revokeA();
    await world.applyKey('one', brought(c));
    await world.advance(5_000);
    await world.stop();
    const [name = ''] = shards();
    await world.cluster.delete({ kind: 'Secret', namespace: 'system', name });
    await world.start();
    const index = await world.secret('revoked-index', 'system');
    if (index === undefined) throw new Error('no index');
    await world.cluster.apply({ ...index, metadata: { ...index.metadata, annotations: { [acceptLossAnnotation]: name } } });
    await restart();
    expect(shards()).toEqual([name, ...shards().filter((other) => other !== name)].toSorted());
    expect((await world.secret('revoked-index', 'system'))?.metadata.annotations).toBeUndefined();
    await world.applyKey('two', brought(a));
    await world.advance(15 * 60_000);
    expect(await reasonOf('two')).toBe('Issued');
  });

  it('that are all gone, with their index, are missed by what the records say', async () => {
    await begin();
    await revokeA();
    await world.applyKey('one', brought(c));
    await world.advance(5_000);
    await world.stop();
    for (const name of [...shards(), 'revoked-index']) await world.cluster.delete({ kind: 'Secret', namespace: 'system', name });
    await world.start();
    await world.applyKey('two', brought(a));
    await world.advance(15 * 60_000);
    expect(readyOf(await world.key('two'))).toEqual({ status: 'False', reason: 'RevokedHashesLost' });
    expect(await world.secret('revoked-index', 'system')).toBeUndefined();
  });
});

describe('a tombstone', () => {
  it('stays for its time and goes when its hashes are filed; the name begins above it, and nothing of it is accepted', async () => {
    await begin();
    await world.applyKey('one', brought(a));
    await world.applyKey('other', brought(b));
    await world.advance(5_000);
    await world.applyKey('one', { ...brought(a), suspended: true });
    await world.advance(5_000);
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'one' });
    await world.advance(5_000);
    expect(await world.record('team/one')).toMatchObject({ gen: 3, revokedHashes: [a], credentials: [] });
    await restart();
    await world.advance(retentionMs - hourMs);
    expect(await world.record('team/one')).toBeDefined();
    await world.advance(hourMs);
    expect(await world.record('team/one')).toBeUndefined();
    expect(await world.record('team/other')).toBeDefined();
    const before = world.writes.length;
    await restart();
    await world.advance(24 * hourMs);
    expect(world.writes.length).toBe(before);
    await world.applyKey('one', brought(a, c));
    await world.advance(5_000);
    expect(await world.record('team/one')).toMatchObject({ gen: 4, credentials: [{ hash: c }] });
    expect(await reasonOf('one')).toBe('CredentialRevoked');
  });

  it('whose name is taken again is none any more, however late', async () => {
    await begin({ tombstoneMs: hourMs });
    await world.applyKey('one', brought(a));
    await world.advance(5_000);
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'one' });
    await world.advance(hourMs - 10_000);
    await world.applyKey('one', brought(c));
    await world.advance(3 * hourMs);
    expect(await world.record('team/one')).toMatchObject({ credentials: [{ hash: c }] });
    expect(world.publishedKey('team/one')?.credentials).toHaveLength(1);
  });

  it('does not go while its hashes cannot be filed', async () => {
    await begin({ tombstoneMs: hourMs });
    const sibling = Array.from({ length: 2_000 }, (_, index) => sha256Hex(`${index}`)).find((hash) => shardOf(hash) === shardOf(a)) ?? '';
    await revokeA();
    await world.applyKey('other', brought(sibling));
    await world.advance(5_000);
    await world.stop();
    const name = revokedShardName(shardOf(a));
    const before = await world.secret(name, 'system');
    await world.cluster.delete({ kind: 'Secret', namespace: 'system', name });
    await world.start();
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'other' });
    await world.advance(5 * hourMs);
    expect(await world.record('team/other')).toMatchObject({ revokedHashes: [sibling] });
    if (before === undefined) throw new Error('no shard');
    await world.cluster.apply({ ...before, metadata: { name, namespace: 'system' } });
    await world.advance(5 * hourMs);
    expect(await world.record('team/other')).toBeUndefined();
    await world.applyKey('two', brought(sibling));
    await world.advance(5_000);
    expect(await reasonOf('two')).toBe('CredentialRevoked');
  });
});
