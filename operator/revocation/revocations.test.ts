import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tagOf } from '../../core/hash-tag.ts';
import { overruling, type Revocation } from '../../core/revocation.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import { makeLateCluster } from '../../test/fake/late-cluster.ts';
import { makeSharedRevocations, type SharedRevocations } from '../../test/fake/revocation-board.ts';
import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import type { Settlement } from './heartbeats.ts';
import type { Operator } from '../operator.ts';
import { World } from '../test-world.ts';

let world: World;
let shared: SharedRevocations;
let replicas: Operator[];

beforeEach(() => {
  world = new World();
  shared = makeSharedRevocations();
  world.board = shared.board();
  replicas = [];
});
afterEach(async () => {
  const stopped = replicas.map((replica) => replica.stop());
  await world.settle();
  await Promise.all(stopped);
  await world.stop();
});

async function startStandby(cluster: Cluster = world.cluster): Promise<void> {
  world.board = shared.board();
  replicas.push(world.startReplica(cluster));
  await world.settle();
}

/** A key that works, with a leader. */
async function issue(spec = {}): Promise<KeyRecord> {
  await world.start();
  await world.applyKey('a', spec);
  await world.advance(10_000);
  const record = world.publishedKey('team/a');
  if (record?.state !== 'Active') throw new Error('not issued');
  return record;
}

/** The leader vanishes without a word: it can write nothing any more. */
function killLeader(): void {
  world.onWrite = () => new ClusterError('Unavailable', 'the process is dead');
}

const standing = (): Revocation[] => [...shared.entries.values()];
/** What a proxy says that still has this record and has read what stands. */
const says = (record: KeyRecord): (string | undefined)[] =>
  standing().map((revocation) => overruling(revocation, record, record.credentials[0]?.id ?? ''));

describe('every replica', () => {
  it.each([
    ['revoked', () => world.applyKey('a', { revoked: true }), 'Revoked'],
    ['suspended', () => world.applyKey('a', { suspended: true }), 'Suspended'],
    ['deleted', () => world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'a' }), 'Deleted'],
  ])('tells at once that a key was %s, with nobody leading', async (_, change, wanted) => {
    const record = await issue();
    await startStandby();
    killLeader();
    const leader = world.operator?.stop();
    await world.settle();
    await leader;
    expect(standing()).toEqual([]);
    await change();
    await world.settle();
    expect(says(record)).toEqual([wanted]);
    expect(world.publishedKey('team/a')).toEqual(record);
  });

  it('says the same as the leader, so that one entry stands', async () => {
    const record = await issue();
    await startStandby();
    await world.applyKey('a', { suspended: true });
    await world.settle();
    expect(standing()).toEqual([{ keyId: 'team/a', uid: record.uid, gen: record.gen + 1, state: 'Suspended', ended: [] }]);
    await world.advance(1_000);
    expect(world.publishedKey('team/a')).toMatchObject({ gen: record.gen + 1, state: 'Suspended' });
  });

  it('tells which of the written hashes ended, and the rest goes on', async () => {
    const hash = (letter: string) => `sha256:${letter.repeat(64)}` as const;
    const record = await issue({ credential: { hashes: [{ hash: hash('a') }, { hash: hash('b') }] } });
    await startStandby();
    killLeader();
    await world.applyKey('a', { credential: { hashes: [{ hash: hash('b') }] } });
    await world.settle();
    const [ended, other] = record.credentials;
    expect(standing()).toMatchObject([{ state: 'Active', gen: record.gen, ended: [ended?.id] }]);
    expect(overruling(standing()[0] as Revocation, record, other?.id ?? '')).toBeUndefined();
  });

  it('tells what it saw while Redis was away, as soon as it is back', async () => {
    const record = await issue();
    await startStandby();
    killLeader();
    shared.reachable = false;
    await world.applyKey('a', { revoked: true });
    await world.advance(20_000);
    expect(standing()).toEqual([]);
    shared.reconnect();
    await world.advance(1_000);
    expect(says(record)).toEqual(['Revoked']);
  });

  it('tells what changed while no operator ran', async () => {
    const record = await issue();
    await world.stop();
    await world.applyKey('a', { revoked: true });
    await startStandby();
    expect(says(record)).toEqual(['Revoked']);
  });

  it('tells nothing of a key that a false empty list lacks', async () => {
    await issue();
    const late = makeLateCluster(world.cluster);
    await startStandby(late.cluster);
    const object = await world.key('a');
    if (object === undefined) throw new Error('there is no key');
    late.inject({ type: 'Deleted', object, seen: false });
    await world.advance(5_000);
    expect(standing()).toEqual([]);
  });
});

describe('the leader', () => {
  it('lifts a suspension that only another replica has seen: it is over already', async () => {
    const record = await issue();
    shared.entries.set('flicker', { keyId: 'team/a', uid: record.uid, gen: record.gen + 1, state: 'Suspended', ended: [] });
    shared.reconnect();
    await world.advance(2_000);
    expect(world.publishedKey('team/a')).toMatchObject({ state: 'Active', gen: record.gen + 2 });
    expect(shared.entries.get(`team/a ${record.uid}`)).toMatchObject({ state: 'Active', gen: record.gen + 2 });
    expect((await world.record('team/a'))?.gen).toBe(record.gen + 2);
  });

  it('makes of a break-glass revocation one for ever, and keeps it off the next key of that name', async () => {
    const record = await issue();
    await world.board?.write({ keyId: 'team/a', uid: '*', gen: 0, state: 'Revoked', ended: [] });
    await world.advance(5_000);
    expect(world.publishedKey('team/a')).toMatchObject({ state: 'Revoked', uid: record.uid });
    expect((await world.record('team/a'))?.revokedAt).toBeDefined();
    expect((await world.key('a'))?.status?.phase).toBe('Revoked');
    expect(world.reasons()).toContain('KeyRevoked');
    await world.advance(120_000);
    expect(standing()).toEqual([]);
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'a' });
    await world.applyKey('a');
    await world.advance(200_000);
    expect(world.publishedKey('team/a')).toMatchObject({ state: 'Active' });
  });

  it('takes away what the snapshot says, after the proxies have had it, and writes nothing at rest', async () => {
    await issue();
    await world.applyKey('a', { revoked: true });
    await world.advance(30_000);
    expect(standing()).toHaveLength(1);
    await world.advance(60_000);
    expect(standing()).toEqual([]);
    // the revoked hash is filed meanwhile
    await world.advance(300_000);
    const writes = world.writes.length;
    await world.advance(300_000);
    expect([world.writes.length, standing()]).toEqual([writes, []]);
  });

  it('leaves in Redis what a living proxy still needs, however long', async () => {
    let settlement: Settlement = 'waiting';
    world.heartbeats = { settlementOf: () => settlement, onChange: () => {}, stop() {} };
    await issue({ credential: { hashes: [{ hash: `sha256:${'a'.repeat(64)}` }] } });
    await world.applyKey('a', { revoked: true });
    await world.advance(600_000);
    expect(standing()).toHaveLength(1);
    shared.entries.clear();
    await world.advance(6_000);
    expect(standing()).toHaveLength(1);
    settlement = 'settled';
    await world.advance(6_000);
    expect(standing()).toEqual([]);
  });

  it('puts back what Redis has forgotten while the snapshot cannot be written', async () => {
    const record = await issue();
    world.onWrite = ({ namespace }) => (namespace === 'snapshot' ? new ClusterError('Unavailable', 'etcd is full') : undefined);
    await world.applyKey('a', { revoked: true });
    await world.advance(1_000);
    shared.entries.clear();
    await world.advance(6_000);
    expect(says(record)).toEqual(['Revoked']);
    expect(world.publishedKey('team/a')).toEqual(record);
  });
});

describe('a part of Redis that is away', () => {
  const gauge = async (name: string): Promise<number | undefined> =>
    (await world.metrics.getSingleMetric(`keywright_revocations_${name}`)?.get())?.values[0]?.value;
  const broken = (keyId: string): Revocation => ({ keyId, uid: '*', gen: 0, state: 'Revoked', ended: [] });
  const events = (name: string): number => world.logLines.filter((line) => line.includes(`"event":"${name}"`)).length;

  it('hides what stands there and nothing else: what is known of it counts on, and what was missed is caught up with', async () => {
    await issue();
    await world.board?.write(broken('team/a'));
    await world.advance(5_000);
    // by its name, and for this very object
    expect(await gauge('standing')).toBe(2);
    shared.silentTags.add(tagOf('team/a'));
    // told while nobody listened
    shared.entries.set('elsewhere/b *', broken('elsewhere/b'));
    await world.advance(15_000);
    expect([await gauge('standing'), await gauge('unwritten'), await gauge('unread_tags')]).toEqual([3, 0, 1]);
    shared.entries.set('team/c *', broken('team/c'));
    await world.advance(10_000);
    expect(await gauge('standing')).toBe(3);
    shared.silentTags.clear();
    await world.advance(5_000);
    expect([await gauge('standing'), await gauge('unread_tags')]).toEqual([4, 0]);
    expect([events('revocations_unread'), events('revocations_read_again')]).toEqual([1, 1]);
  });

  it('holds up no revocation of another key, not even where it never answers', async () => {
    const board = shared.board();
    const answered = Promise.withResolvers<Revocation>();
    world.board = {
      ...board,
      write: (revocation) => (revocation.keyId === 'team/a' ? answered.promise : board.write(revocation)),
    };
    const record = await issue();
    await world.applyKey('b', {}, 'elsewhere');
    await world.advance(10_000);
    await world.applyKey('a', { revoked: true });
    await world.settle();
    await world.applyKey('b', { revoked: true }, 'elsewhere');
    await world.settle();
    expect(standing().map(({ keyId }) => keyId)).toEqual(['elsewhere/b']);
    answered.resolve({ ...broken('team/a'), uid: record.uid });
  });
});
