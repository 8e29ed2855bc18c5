import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../core/secret.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import { makeLog } from '../../runtime/log.ts';
import type { Cluster, ClusterObject, ReflectOptions } from '../cluster/cluster.ts';
import { toWriteGuarded } from '../leadership/write-guard.ts';
import { World } from '../test-world.ts';
import { Publisher } from './publish.ts';
import { parseSnapshotSecret, toShard, toSnapshotSecret } from './snapshot-documents.ts';

const layout = { epoch: 1, keyBuckets: 1, channelBuckets: 1 };

function makeRecord(id: string, changes: Partial<KeyRecord> = {}): KeyRecord {
  const credentials = [{ id: '0123456789ab', hash: 'a'.repeat(64), prefix: '', state: 'Active' as const }];
  return { id, uid: 'uid', generation: 1, gen: 1, state: 'Active', credentials, access: {}, ...changes };
}

/** A publisher whose keys are all in one shard, and which hears of nobody else. */
async function start(world: World): Promise<Publisher> {
  const publisher = new Publisher({
    cluster: world.cluster,
    namespace: 'snapshot',
    installationSecret: new Secret('0123456789abcdef0123456789abcdef'),
    clock: world.clock,
    random: () => 0.5,
    log: makeLog({ level: 'silent', name: 'test' }),
    metrics: { registry: new Registry() },
    onPublished: () => undefined,
    bounds: { shardBytes: 524_288, secretBytes: 1_000_000, layout },
  });
  await publisher.load();
  publisher.start();
  publisher.open();
  await world.advance(3_000);
  return publisher;
}

/** One that is behind: the other one has revoked `revoked`, taken `removed` out and put `added` in. */
async function startBehind(world: World): Promise<{ ahead: Publisher; behind: Publisher }> {
  const ahead = await start(world);
  for (const name of ['revoked', 'removed', 'kept']) ahead.setKey(`team/${name}`, makeRecord(`team/${name}`));
  await world.advance(1_000);
  const behind = await start(world);
  ahead.setKey('team/revoked', makeRecord('team/revoked', { gen: 2, state: 'Revoked' }));
  ahead.setKey('team/removed', undefined);
  ahead.setKey('team/added', makeRecord('team/added'));
  await world.advance(1_000);
  return { ahead, behind };
}

function published(world: World): string[] {
  return world
    .published()
    .keys.map(({ id, state, gen }) => `${id} ${state} ${gen}`)
    .toSorted();
}

describe('a shard that somebody else has written', () => {
  it('is taken over: what they have changed stands, and our own change comes on top', async () => {
    const world = new World();
    const { ahead, behind } = await startBehind(world);
    behind.setKey('team/kept', makeRecord('team/kept', { generation: 2, gen: 3 }));
    await world.advance(1_000);
    expect(published(world)).toEqual(['team/added Active 1', 'team/kept Active 3', 'team/revoked Revoked 2']);
    await Promise.all([ahead.stop(), behind.stop()]);
  });

  it('keeps what they have changed until it has been looked at past the watches', async () => {
    const world = new World();
    const { ahead, behind } = await startBehind(world);
    behind.setKey('team/kept', makeRecord('team/kept', { gen: 3 }));
    await world.advance(1_000);
    behind.setKey('team/removed', makeRecord('team/removed'));
    behind.setKey('team/added', undefined, { urgent: true });
    behind.setKey('team/revoked', makeRecord('team/revoked', { generation: 7 }));
    await world.advance(1_000);
    expect(published(world)).toEqual(['team/added Active 1', 'team/kept Active 3', 'team/revoked Revoked 2']);
    behind.dispute('keys', 'team/removed')?.settle();
    behind.setKey('team/removed', makeRecord('team/removed', { gen: 5 }));
    await world.advance(1_000);
    expect(published(world)).toContain('team/removed Active 5');
    await Promise.all([ahead.stop(), behind.stop()]);
  });

  it('is written over where our record is a later one of the same object', async () => {
    const world = new World();
    const { ahead, behind } = await startBehind(world);
    behind.setKey('team/revoked', makeRecord('team/revoked', { gen: 4, state: 'Revoked', credentials: [] }), { urgent: true });
    behind.setKey('team/added', makeRecord('team/added', { uid: 'another', gen: 9 }));
    await world.advance(1_000);
    expect(published(world)).toEqual(['team/added Active 1', 'team/kept Active 1', 'team/revoked Revoked 4']);
    await Promise.all([ahead.stop(), behind.stop()]);
  });
});

/** Hears of no end of a VirtualKey. */
function toDeaf(cluster: Cluster): Cluster {
  return {
    ...toWriteGuarded(cluster, () => true),
    reflect: <T extends ClusterObject>(options: ReflectOptions<T>) =>
      cluster.reflect<T>({
        ...options,
        onEvent: (event) => (event.type === 'Deleted' && event.object.kind === 'VirtualKey' ? undefined : options.onEvent(event)),
      }),
  };
}

/** Somebody takes a key out of its shard. */
async function takeOut(world: World, keyId: string): Promise<void> {
  for (const object of world.cluster.objects()) {
    const document = object.kind === 'Secret' ? parseSnapshotSecret(object) : undefined;
    if (document?.kind !== 'keys' || !document.records.some(({ id }) => id === keyId)) continue;
    const records = document.records.filter(({ id }) => id !== keyId);
    const { epoch, bucket, buckets, publishedAt } = document;
    const shard = toShard({ layout: { epoch, keyBuckets: buckets, channelBuckets: 8 }, kind: 'keys', bucket, records, publishedAt });
    await world.cluster.apply({ ...object, data: toSnapshotSecret(shard, 'snapshot').data });
  }
}

describe('a key that somebody else has taken out of the snapshot', () => {
  it('comes back when it is there', async () => {
    const world = new World();
    await world.start();
    await world.applyKey('a');
    await world.advance(10_000);
    await takeOut(world, 'team/a');
    await world.settle();
    expect(world.publishedKey('team/a')).toBeUndefined();
    await world.advance(5_000);
    expect(world.publishedKey('team/a')?.state).toBe('Active');
    await world.stop();
  });

  it('does not when it is gone, though no watch has told so', async () => {
    const world = new World();
    world.through = toDeaf;
    await world.start();
    await world.applyKey('a');
    await world.advance(10_000);
    expect(world.publishedKey('team/a')?.state).toBe('Active');
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'a' });
    await world.advance(5_000);
    expect(world.publishedKey('team/a')?.state).toBe('Active');
    await takeOut(world, 'team/a');
    await world.advance(60_000);
    expect(world.publishedKey('team/a')).toBeUndefined();
    expect((await world.record('team/a'))?.deletedAt).toBeDefined();
    await world.stop();
  });
});
