import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../core/secret.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import { makeLog } from '../../runtime/log.ts';
import { Publisher } from './publish.ts';
import { toBucket } from './snapshot-documents.ts';
import { World } from '../test-world.ts';

const installationSecret = new Secret('0123456789abcdef0123456789abcdef');

function makeRecord(id: string, changes: Partial<KeyRecord> = {}): KeyRecord {
  const credentials = [{ id: '0123456789ab', hash: 'a'.repeat(64), prefix: '', state: 'Active' as const }];
  return { id, uid: 'uid', generation: 1, gen: 1, state: 'Active', credentials, access: {}, ...changes };
}

async function start(world: World): Promise<{ publisher: Publisher; told: string[] }> {
  const told: string[] = [];
  const publisher = new Publisher({
    cluster: world.cluster,
    namespace: 'snapshot',
    installationSecret,
    clock: world.clock,
    random: () => 0.5,
    log: makeLog({ level: 'silent', name: 'test' }),
    metrics: { registry: new Registry() },
    onPublished: (_kind, ids) => told.push(...ids),
  });
  await publisher.load();
  publisher.start();
  publisher.open();
  await world.advance(3_000);
  return { publisher, told };
}

describe('publisher', () => {
  it('writes changes of a moment together, equal content never, and an urgent one at once', async () => {
    const world = new World();
    const { publisher, told } = await start(world);
    expect(world.writes).toHaveLength(73);
    expect(world.writes.at(-1)?.name).toBe('keywright-snapshot-index');
    publisher.setKey('team/a', makeRecord('team/a'));
    publisher.setKey('team/a', makeRecord('team/a', { gen: 2 }));
    await world.advance(199);
    expect(publisher.key('team/a')).toBeUndefined();
    await world.advance(801);
    expect(publisher.key('team/a')?.record.gen).toBe(2);
    expect(world.writes).toHaveLength(74);
    publisher.setKey('team/a', makeRecord('team/a', { gen: 2 }));
    await world.advance(5_000);
    expect(world.writes).toHaveLength(74);
    publisher.setKey('team/a', makeRecord('team/a', { gen: 3, state: 'Revoked' }), { urgent: true });
    await world.settle();
    expect(world.publishedKey('team/a')?.state).toBe('Revoked');
    expect(told).toEqual(['team/a', 'team/a']);
    await publisher.stop();
  });

  it('lets nothing wait longer than a second, however many changes follow', async () => {
    const world = new World();
    const { publisher } = await start(world);
    for (let gen = 1; gen <= 12; gen += 1) {
      publisher.setKey('team/a', makeRecord('team/a', { gen }));
      await world.advance(100);
    }
    expect(publisher.key('team/a')?.record.gen).toBeGreaterThanOrEqual(10);
    await publisher.stop();
  });

  it('begins with what is published, so that nothing vanishes that was not looked at yet', async () => {
    const world = new World();
    const first = await start(world);
    const neighbour = Array.from({ length: 1_000 }, (_, index) => `team/n${index}`).find(
      (id) => toBucket(id, 64, installationSecret) === toBucket('team/a', 64, installationSecret),
    );
    first.publisher.setKey('team/a', makeRecord('team/a'));
    await world.advance(1_000);
    await first.publisher.stop();
    const { publisher } = await start(world);
    expect([...publisher.ids('keys')]).toEqual(['team/a']);
    publisher.setKey(neighbour ?? '', makeRecord(neighbour ?? ''));
    await world.advance(1_000);
    expect(new Set(world.published().keys.map(({ id }) => id))).toEqual(new Set(['team/a', neighbour]));
    await publisher.stop();
  });

  it('writes over what somebody else has written meanwhile', async () => {
    const world = new World();
    const { publisher } = await start(world);
    publisher.setKey('team/a', makeRecord('team/a'));
    for (const object of world.cluster.objects()) {
      if (object.metadata.name.includes('-keys-')) await world.cluster.apply({ ...object, data: { document: 'AAAA' } });
    }
    await world.advance(1_000);
    expect(world.publishedKey('team/a')).toBeDefined();
    await publisher.stop();
  });

  it('takes no record that no proxy could read: its neighbours stay', async () => {
    const world = new World();
    const { publisher } = await start(world);
    publisher.setKey('team/a', makeRecord('team/a'));
    expect(() => publisher.setKey('team/a', makeRecord('team/a', { expiresAt: -1 }))).toThrow('team/a is not readable');
    await world.advance(1_000);
    expect(world.publishedKey('team/a')?.expiresAt).toBeUndefined();
    await publisher.stop();
  });
});
