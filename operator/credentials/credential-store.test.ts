import { afterEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../runtime/digest.ts';
import type { ClusterObject, ReflectOptions, SecretObject } from '../cluster/cluster.ts';
import { makeMemoryCluster } from '../cluster/memory.ts';
import { readyOf, World } from '../test-world.ts';
import { findClaimProblem } from '../translate/claim.ts';
import { CredentialStore } from './credential-store.ts';
import { type CredentialRecord, hashedSecretLabel, toHashedSecret } from './hashed-secret.ts';

const hash = 'a'.repeat(64);

const recordOf = (keyId: string, uid: string, createdAt = 1_000): CredentialRecord => ({
  schema: 1,
  keyId,
  uid,
  gen: 1,
  credentials: [{ hash, prefix: '', state: 'Active', createdAt }],
  revokedHashes: [],
  suspended: false,
});

let version = 0;

function toObject(record: CredentialRecord): SecretObject {
  const secret = toHashedSecret(record, 'system');
  return { ...secret, metadata: { ...secret.metadata, uid: record.uid, resourceVersion: String((version += 1)) } };
}

describe('a record that is asked for beside the watch', () => {
  it.each([
    ['is there', true],
    ['is gone', false],
  ])('and %s in an answer that the watch has overtaken stays as the watch has told it', async (_what, isThere) => {
    const memory = makeMemoryCluster({ now: () => 0 });
    const older = recordOf('team/a', 'uid-1');
    const stale = toObject(older);
    const newer = toObject({ ...older, gen: 2 });
    const cluster = Object.assign(Object.create(memory) as typeof memory, {
      get: async () => {
        store.take({ type: 'Applied', object: newer });
        return isThere ? stale : undefined;
      },
    });
    const store = new CredentialStore({ cluster, namespace: 'system', onBarred: () => undefined, onRivals: () => undefined });
    if (isThere) store.take({ type: 'Applied', object: toObject({ ...older, gen: 0 }) });
    expect(await store.confirm('team/a')).toBe(false);
    expect(store.get('team/a')).toMatchObject({ gen: 2 });
  });
});

describe('of two keys that have recorded the same hash', () => {
  const rivals: string[][] = [];
  const cluster = makeMemoryCluster({ now: () => 0 });
  const begin = (): CredentialStore => {
    rivals.length = 0;
    return new CredentialStore({ cluster, namespace: 'system', onBarred: () => undefined, onRivals: (ids) => void rivals.push([...ids]) });
  };
  const problemOf = (store: CredentialStore, record: CredentialRecord): string | undefined => {
    const claims = {
      firstOwner: (each: string, besides: string) => store.firstOwner(each, besides),
      isRevoked: () => false,
      isFiled: () => false,
      isUnknown: () => false,
      firstGeneration: 0,
    };
    return findClaimProblem({ claims, record, credential: { hash }, what: 'it' })?.reason;
  };

  it.each([
    ['the earlier one', recordOf('team/a', 'uid-2', 1_000), recordOf('team/b', 'uid-1', 1_001)],
    ['at a tie the one with the lower UID', recordOf('team/a', 'uid-1'), recordOf('team/b', 'uid-2')],
    ['at a tie the one with the lower UID, whatever their names', recordOf('team/b', 'uid-1'), recordOf('team/a', 'uid-2')],
  ])('%s has it, in whichever order they are told', (_what, winner, loser) => {
    for (const order of [
      [winner, loser],
      [loser, winner],
    ]) {
      const store = begin();
      for (const record of order) store.take({ type: 'Applied', object: toObject(record) });
      expect([problemOf(store, winner), problemOf(store, loser)]).toEqual([undefined, 'DuplicateCredential']);
      // a third one, with a UID lower than both, has not recorded it and comes too late
      expect(problemOf(store, { ...recordOf('team/c', 'uid-0'), credentials: [] })).toBe('DuplicateCredential');
    }
  });

  it('the other one is to be looked at when one comes, changes, lets go of the hash, or goes', () => {
    const store = begin();
    const [winner, loser] = [recordOf('team/a', 'uid-1'), recordOf('team/b', 'uid-2')];
    const both = ['team/a', 'team/b'];
    const take = (record: CredentialRecord, type: 'Applied' | 'Deleted' = 'Applied'): readonly string[] =>
      store.take(type === 'Applied' ? { type, object: toObject(record) } : { type, object: toObject(record), seen: true }).toSorted();
    expect(take(loser)).toEqual(['team/b']);
    expect(take(winner)).toEqual(both);
    expect(take({ ...winner, credentials: [] })).toEqual(both);
    expect(take({ ...winner, credentials: [] })).toEqual(['team/a']);
    expect(take(winner)).toEqual(both);
    expect(take(winner, 'Deleted')).toEqual(both);
    expect(problemOf(store, loser)).toBeUndefined();
  });

  it('the other one is looked at also when a record is found beside the watch', async () => {
    const store = begin();
    store.take({ type: 'Applied', object: toObject(recordOf('team/b', 'uid-2')) });
    const { metadata, ...rest } = toHashedSecret(recordOf('team/a', 'uid-1'), 'system');
    await cluster.create<SecretObject>({ ...rest, metadata });
    expect(await store.confirm('team/a')).toBe(false);
    expect(rivals.flat().toSorted()).toEqual(['team/a', 'team/b']);
    expect(await store.confirm('team/a')).toBe(true);
    expect(rivals).toHaveLength(1);
  });
});

describe('an operator', () => {
  let world = new World();
  afterEach(() => world.stop());

  const writeRecord = (record: CredentialRecord): Promise<SecretObject> =>
    world.cluster.apply<SecretObject>(toHashedSecret(record, 'system'));
  const owners = (): string[] =>
    world
      .published()
      .keys.filter(({ credentials }) => credentials.some((credential) => credential.hash === hash))
      .map(({ id }) => id);

  it('takes a hash from the key that has it when another turns out to have recorded it first', async () => {
    world = new World();
    await world.start();
    const brought = { credential: { hashes: [{ hash: `sha256:${hash}` }] } };
    await world.applyKey('early', { credential: { hashes: [{ hash: `sha256:${'b'.repeat(64)}` }] } });
    await world.applyKey('late', brought);
    await world.advance(5_000);
    expect(owners()).toEqual(['team/late']);
    const [early, late] = [await world.record('team/early'), await world.record('team/late')];
    if (early === undefined || late === undefined) throw new Error('no record');
    expect(early.uid < late.uid).toBe(true);

    // as somebody else who believed to lead has left it: the same moment, so that the UID decides
    const createdAt = late.credentials[0]?.createdAt ?? 0;
    await world.applyKey('early', brought);
    await writeRecord({ ...early, credentials: [...early.credentials, { hash, prefix: '', state: 'Active', createdAt }] });
    await world.advance(5_000);
    expect(owners()).toEqual(['team/early']);
    expect(readyOf(await world.key('late'))).toEqual({ status: 'False', reason: 'DuplicateCredential' });
    expect(readyOf(await world.key('early'))).toEqual({ status: 'True', reason: 'Issued' });
  });

  it('does not write its own key over one that was delivered for the same wish, although the watch has not told of it', async () => {
    world = new World();
    const held: (() => void)[] = [];
    let isBehind = false;
    // everything but the hashed Secrets is told at once
    const delay = <T extends ClusterObject>(options: ReflectOptions<T>): ReflectOptions<T> => {
      if (options.labelSelector?.startsWith(hashedSecretLabel) !== true) return options;
      return { ...options, onEvent: (event) => (isBehind ? void held.push(() => options.onEvent(event)) : options.onEvent(event)) };
    };
    world.through = (cluster) =>
      new Proxy(cluster, {
        get(target, name) {
          if (name === 'reflect') return (options: ReflectOptions<ClusterObject>) => target.reflect(delay(options));
          const value: unknown = Reflect.get(target, name);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
    await world.start();
    await world.applyKey('a', { rotation: { trigger: '1', overlap: '1h' } });
    await world.advance(10_000);
    const first = (await world.delivered('a')) ?? '';
    await world.applyKey('a', { rotation: { trigger: '2', overlap: '1h' } });
    await world.advance(1_000);
    const before = await world.record('team/a');
    const secret = await world.secret('a-virtualkey');
    if (before === undefined || secret === undefined) throw new Error('no record');
    expect(before.credentials.map(({ state }) => state)).toEqual(['Active', 'Pending']);

    isBehind = true;
    const others = 'sk-kw-of-another-leader-0123456789';
    const now = world.nowMs;
    await writeRecord({
      ...before,
      handledTrigger: '2',
      rotatedAt: now,
      credentials: [
        ...before.credentials.map((each) =>
          each.hash === sha256Hex(first) ? { ...each, state: 'Retiring' as const, notAfter: now + 3_600_000 } : each,
        ),
        { hash: sha256Hex(others), prefix: 'sk-kw-of', state: 'Active', createdAt: now, deliveredAt: now },
      ],
    });
    await world.cluster.apply<SecretObject>({ ...secret, data: { ...secret.data, apiKey: Buffer.from(others).toString('base64') } });
    await world.advance(10_000);
    expect(await world.delivered('a')).toBe(others);
    isBehind = false;
    for (const tell of held.splice(0)) tell();
    await world.advance(10_000);
    expect(await world.delivered('a')).toBe(others);
    const accepted = world.publishedKey('team/a')?.credentials.map(({ hash: each, state }) => [each, state]);
    expect(accepted).toEqual([
      [sha256Hex(first), 'Retiring'],
      [sha256Hex(others), 'Active'],
    ]);
    expect((await world.key('a'))?.status?.lastHandledTrigger).toBe('2');
  });
});
