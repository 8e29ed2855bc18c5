import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import { checkAddress } from '../../core/authorize.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics, type Metrics } from '../../runtime/metrics.ts';
import {
  channelRecord,
  channelShard,
  credentialOf,
  hashOf,
  indexDocument,
  keyRecord,
  keyShard,
  type NamedDocument,
} from '../../test/fake/snapshot.ts';
import { FakeSeal, makeSealKey, sealKeysOf } from '../../test/fake/seal.ts';
import { type FakeClock, makeFakeClock } from '../../test/support/fake-clock.ts';
import { noSealKeys, type SealKeys } from '../../runtime/seal.ts';
import { makeDocumentReader } from './snapshot-document.ts';
import { SnapshotIndex } from './snapshot-index.ts';

let clock: FakeClock;
let metrics: Metrics;
let logged: string[];
let index: SnapshotIndex;
let ended: string[];

beforeEach(() => {
  clock = makeFakeClock();
  metrics = makeMetrics();
  logged = [];
  const log = makeLog({ level: 'debug', name: 'test', destination: { write: (line: string) => void logged.push(line) } });
  index = new SnapshotIndex({ log, metrics, clock });
  ended = [];
  index.onEnded(
    (keyId, reason, credentialId) => void ended.push([keyId, reason, credentialId].filter((each) => each !== undefined).join(' ')),
  );
});

async function tell(...documents: NamedDocument[]): Promise<void> {
  for (const { name, bytes } of documents) index.document(name, bytes);
  await index.settled();
}

async function remove(name: string): Promise<void> {
  index.removed(name);
  await index.settled();
}

const find = (key: string): string | undefined => index.find(hashOf(key))?.key.record.id;

async function metric(name: string): Promise<string[]> {
  const text = await metrics.registry.metrics();
  return text
    .split('\n')
    .filter((line) => line.startsWith(`keywright_snapshot_${name}`))
    .map((line) => line.slice(`keywright_snapshot_${name}`.length).trim());
}

describe('the first snapshot', () => {
  it('is in force when its epoch is complete, and until then says what it waits for', async () => {
    expect(index.missing()).toEqual(['snapshot: waiting for the index document (the API server is not connected)']);
    index.connected(true);
    index.synced();
    expect(index.missing()).toEqual(['snapshot: the operator has published no index document yet']);
    await tell(keyShard([keyRecord('a')], { buckets: 2 }), indexDocument({ keyBuckets: 2 }));
    expect(index.missing()).toEqual([
      'snapshot: waiting for 2 shards of epoch 1, 0 of them refused: keywright-snapshot-1-keys-1, keywright-snapshot-1-channels-0',
    ]);
    expect([index.ready, find('a-key')]).toEqual([false, undefined]);
    await tell(keyShard([keyRecord('b')], { bucket: 1, buckets: 2 }), channelShard([channelRecord('openai')]));
    expect([index.ready, index.missing()]).toEqual([true, []]);
    expect([find('a-key'), find('b-key'), find('c-key')]).toEqual(['default/a', 'default/b', undefined]);
    expect(ended).toEqual([]);
  });

  it('finds the credential with the key', async () => {
    const retiring = credentialOf('old-key', { state: 'Retiring', notAfter: 5 });
    await tell(indexDocument(), keyShard([keyRecord('a', { credentials: [retiring, credentialOf('a-key')] })]), channelShard([]));
    expect(index.find(hashOf('old-key'))?.credential).toEqual(retiring);
    expect(index.find(hashOf('a-key'))?.credential.state).toBe('Active');
  });

  it('compiles the ranges of addresses', async () => {
    await tell(indexDocument(), keyShard([keyRecord('a', { access: { cidrs: ['10.0.0.0/8'] } })]), channelShard([]));
    const key = index.find(hashOf('a-key'))?.key;
    if (key === undefined) throw new Error('no key');
    expect(checkAddress(key, '::ffff:10.1.2.3')).toBeUndefined();
    expect(checkAddress(key, '192.0.2.1')).toMatchObject({ code: 'ip_not_allowed' });
  });
});

describe('a bad document', () => {
  beforeEach(() => tell(indexDocument(), keyShard([keyRecord('a')]), channelShard([channelRecord('openai')])));
  const name = keyShard([]).name;

  it.each([
    ['no gzip', Buffer.from('{}')],
    ['cut off', Buffer.from(gzipSync('{"kind":"keys"}')).subarray(0, 12)],
    ['empty', Buffer.alloc(0)],
    ['no JSON', gzipSync('not JSON')],
    ['not of its shape', gzipSync('{"kind":"keys","minReader":1,"schema":1}')],
    ['a bomb', gzipSync(Buffer.alloc(33 * 1024 * 1024))],
    ['under another name', keyShard([keyRecord('b')], { bucket: 1, buckets: 2 }).bytes],
    ['for newer readers', keyShard([keyRecord('b')], { minReader: 99 }).bytes],
    ['of another layout', keyShard([keyRecord('b')], { buckets: 2 }).bytes],
  ])('%s is refused and the last good one stays', async (_what, bytes) => {
    await tell({ name, bytes });
    expect([find('a-key'), find('b-key'), index.ready]).toEqual(['default/a', undefined, true]);
    expect(await metric('incompatible')).toEqual(['1']);
    expect(logged.join('')).toContain('snapshot_document_refused');
    expect(index.describe()).toMatchObject({ refused: [{ name }] });
    expect(ended).toEqual([]);
    await tell(keyShard([keyRecord('a')]));
    expect(await metric('incompatible')).toEqual(['0']);
  });

  it('does no harm to its neighbours, and an index that is bad does none at all', async () => {
    await tell({ name: 'keywright-snapshot-index', bytes: gzipSync('{}') }, channelShard([channelRecord('other')]));
    expect(index.channelsFor('default').map(({ id }) => id)).toEqual(['default/other']);
    expect(find('a-key')).toBe('default/a');
  });

  it('is named while nothing else is there', async () => {
    const fresh = new SnapshotIndex({ log: makeLog({ level: 'silent', name: 'test' }), metrics: makeMetrics(), clock });
    fresh.document('keywright-snapshot-index', indexDocument({ minReader: 99 }).bytes);
    await fresh.settled();
    expect(fresh.missing()).toEqual([expect.stringMatching(/index document is refused: needs a reader of version 99/)]);
  });
});

describe('a change', () => {
  beforeEach(() => tell(indexDocument(), keyShard([keyRecord('a'), keyRecord('b')]), channelShard([channelRecord('openai')])));

  it('holds at once for the whole bucket', async () => {
    await tell(keyShard([keyRecord('b', { state: 'Suspended' }), keyRecord('c')]));
    expect([find('a-key'), find('b-key'), find('c-key')]).toEqual([undefined, 'default/b', 'default/c']);
    expect(index.find(hashOf('b-key'))?.key.record.state).toBe('Suspended');
  });

  it('of which several come in one burst ends with the last', async () => {
    const shards = [keyShard([keyRecord('x')]), keyShard([keyRecord('y')]), keyShard([keyRecord('z')])];
    await tell(...shards);
    expect([find('x-key'), find('y-key'), find('z-key')]).toEqual([undefined, undefined, 'default/z']);
  });

  it('of Channels reaches the namespaces they admit', async () => {
    expect(index.channelsFor('default')).toBe(index.channelsFor('default'));
    await tell(channelShard([channelRecord('z'), channelRecord('b', { namespaces: ['team-b'] })]));
    expect(index.channelsFor('team-b').map(({ id }) => id)).toEqual(['default/b', 'default/z']);
    expect(index.channelsFor('default').map(({ id }) => id)).toEqual(['default/z']);
    await tell(channelShard([]));
    expect(index.channelsFor('team-b')).toEqual([]);
  });

  it('is never the removal of a Secret', async () => {
    await remove(keyShard([]).name);
    await remove(channelShard([]).name);
    await remove('keywright-snapshot-index');
    expect([find('a-key'), index.ready, index.channelsFor('x').length]).toEqual(['default/a', true, 1]);
    await tell(keyShard([keyRecord('b')]));
    expect([find('a-key'), find('b-key')]).toEqual([undefined, 'default/b']);
  });

  it('keeps a hash that two keys claim with the first, until that one lets it go', async () => {
    const thief = keyRecord('thief', { credentials: [credentialOf('a-key')] });
    await tell(keyShard([keyRecord('a'), thief]));
    expect(find('a-key')).toBe('default/a');
    await tell(keyShard([thief]));
    expect(find('a-key')).toBe('default/thief');
  });

  it('keeps it so also across buckets', async () => {
    const thief = keyShard([keyRecord('thief', { credentials: [credentialOf('a-key')] })], { epoch: 2, bucket: 1, buckets: 2 });
    const first = (...records: KeyRecord[]): NamedDocument => keyShard(records, { epoch: 2, bucket: 0, buckets: 2 });
    await tell(first(keyRecord('a')), thief, channelShard([], { epoch: 2 }), indexDocument({ epoch: 2, keyBuckets: 2 }));
    expect(find('a-key')).toBe('default/a');
    await tell(first());
    expect(find('a-key')).toBe('default/thief');
    await tell(first(keyRecord('a')));
    expect(find('a-key')).toBe('default/thief');
  });
});

describe('the end of a key', () => {
  beforeEach(async () => {
    const credentials = [credentialOf('old-key', { state: 'Retiring', notAfter: clock.now() + 60_000 }), credentialOf('rotated-key')];
    await tell(
      indexDocument(),
      channelShard([]),
      keyShard([keyRecord('a'), keyRecord('b'), keyRecord('rotated', { credentials, gen: 1 })]),
    );
  });
  const rotated = (keys: string[], changes = {}): NamedDocument =>
    keyShard([
      keyRecord('a'),
      keyRecord('b'),
      keyRecord('rotated', { gen: 1, credentials: keys.map((key) => credentialOf(key)), ...changes }),
    ]);

  it('is told when it is revoked, deleted, or made anew under the same name', async () => {
    await tell(keyShard([keyRecord('a', { state: 'Revoked', gen: 1 }), keyRecord('rotated', { uid: 'another' })]));
    expect(ended.toSorted()).toEqual(['default/a revoked', 'default/b deleted', 'default/rotated deleted']);
    await tell(keyShard([keyRecord('a', { state: 'Revoked', gen: 1 })]));
    expect(ended.filter((each) => each.startsWith('default/a'))).toEqual(['default/a revoked']);
  });

  it('is not told for a suspension or an expiry: their streams finish', async () => {
    await tell(
      keyShard([
        keyRecord('a', { state: 'Suspended', gen: 1 }),
        keyRecord('b', { expiresAt: 1 }),
        keyRecord('rotated', { gen: 1, credentials: [credentialOf('old-key'), credentialOf('rotated-key')] }),
      ]),
    );
    expect(ended).toEqual([]);
  });

  it('is told of a credential that is taken away while it was good', async () => {
    await tell(rotated(['rotated-key']));
    expect(ended).toEqual([`default/rotated revoked ${credentialOf('old-key').id}`]);
  });

  it('is not told of a credential whose overlap is over when it is cleared away', async () => {
    clock.advance(60_000);
    await tell(rotated(['rotated-key']));
    expect(ended).toEqual([]);
  });

  it('is told of an overlap that was cut short, not of one that has passed', async () => {
    const cut = [credentialOf('old-key', { state: 'Retiring', notAfter: clock.now() }), credentialOf('rotated-key')];
    await tell(rotated([], { credentials: cut, gen: 2 }));
    expect(ended).toEqual([`default/rotated revoked ${credentialOf('old-key').id}`]);
    await tell(rotated(['rotated-key'], { gen: 2 }));
    expect(ended.length).toBe(1);
  });

  it('stays: a record with an older revocation counter is refused', async () => {
    await tell(keyShard([keyRecord('a', { state: 'Revoked', gen: 3 }), keyRecord('b', { gen: 2 })]));
    await tell(keyShard([keyRecord('a', { gen: 2 }), keyRecord('b', { gen: 2 }), keyRecord('c')]));
    expect(index.find(hashOf('a-key'))?.key.record).toMatchObject({ state: 'Revoked', gen: 3 });
    expect(find('c-key')).toBe('default/c');
    await tell(keyShard([]));
    await tell(keyShard([keyRecord('b', { gen: 1 }), keyRecord('a', { gen: 9, uid: 'another' })]));
    expect([find('a-key'), find('b-key')]).toEqual(['default/a', undefined]);
    await tell(keyShard([keyRecord('b', { gen: 2 })]));
    expect(find('b-key')).toBe('default/b');
  });

  it('reaches every listener, whatever one of them does', async () => {
    const told: string[] = [];
    const unsubscribe = index.onEnded(() => {
      throw new Error('a bug');
    });
    index.onEnded((keyId) => void told.push(keyId));
    await tell(keyShard([keyRecord('b'), keyRecord('rotated', { gen: 1 })]));
    expect(told).toContain('default/a');
    expect(logged.join('')).toContain('snapshot_listener_failed');
    unsubscribe();
  });
});

describe('an epoch', () => {
  beforeEach(() => tell(indexDocument(), keyShard([keyRecord('a'), keyRecord('b')]), channelShard([channelRecord('one')])));
  const second = (bucket: number, ...names: string[]): NamedDocument =>
    keyShard(
      names.map((name) => keyRecord(name)),
      { epoch: 2, bucket, buckets: 2 },
    );

  it('gives way when the next one is complete, whatever the order, and not before', async () => {
    await tell(indexDocument({ epoch: 2, keyBuckets: 2 }), second(0, 'a'));
    await tell(keyShard([keyRecord('a'), keyRecord('b'), keyRecord('late')]));
    expect([find('a-key'), find('b-key'), find('late-key')]).toEqual(['default/a', 'default/b', 'default/late']);
    await tell(second(1, 'c'), channelShard([channelRecord('two')], { epoch: 2 }));
    expect([find('a-key'), find('b-key'), find('c-key')]).toEqual(['default/a', undefined, 'default/c']);
    expect(index.channelsFor('x').map(({ id }) => id)).toEqual(['default/two']);
    expect(ended.toSorted()).toEqual(['default/b deleted', 'default/late deleted']);
    expect(await metric('revision_info')).toEqual([expect.stringMatching(/^\{epoch="2",revision="[0-9a-f]{12}"\} 1$/)]);
  });

  it('that is over is forgotten when its Secrets go, and can come back while they are there', async () => {
    await tell(second(0, 'a'), second(1, 'c'), channelShard([], { epoch: 2 }), indexDocument({ epoch: 2, keyBuckets: 2 }));
    await tell(indexDocument({ epoch: 1 }));
    expect(find('b-key')).toBe('default/b');
    await tell(indexDocument({ epoch: 2, keyBuckets: 2 }));
    for (const { name } of [keyShard([]), channelShard([])]) await remove(name);
    await tell(indexDocument({ epoch: 1 }));
    expect([find('b-key'), find('c-key')]).toEqual([undefined, 'default/c']);
  });

  it('whose shards count other buckets than its index is not complete', async () => {
    await tell(
      keyShard([keyRecord('x')], { epoch: 2 }),
      second(1, 'c'),
      channelShard([], { epoch: 2 }),
      indexDocument({ epoch: 2, keyBuckets: 2 }),
    );
    expect([find('a-key'), find('x-key')]).toEqual(['default/a', undefined]);
  });
});

describe('what is shown', () => {
  it('tells since when nothing arrives', () => {
    clock.advance(1_000);
    expect(index.disconnectedMs()).toBe(1_000);
    index.connected(true);
    clock.advance(1_000);
    expect(index.disconnectedMs()).toBe(0);
    index.connected(false);
    clock.advance(500);
    index.connected(false);
    clock.advance(500);
    expect(index.disconnectedMs()).toBe(1_000);
  });

  it('metrics: age, lag of changes, keys, connection', async () => {
    await tell(
      indexDocument(),
      keyShard([keyRecord('a')], { publishedAt: clock.now() - 90_000 }),
      channelShard([], { publishedAt: clock.now() - 30_000 }),
    );
    index.synced();
    index.connected(true);
    expect(await metric('age_seconds')).toEqual(['30']);
    expect(await metric('held_keys')).toEqual(['1']);
    expect(await metric('watch_connected')).toEqual(['1']);
    expect(await metric('apply_lag_seconds_count')).toEqual(['0']);
    await tell(keyShard([keyRecord('b')], { publishedAt: clock.now() - 200 }));
    expect(await metric('apply_lag_seconds_sum')).toEqual(['0.2']);
  });

  it('holds no hash, no address, no provider credential', async () => {
    await tell(
      indexDocument(),
      keyShard([keyRecord('a', { access: { cidrs: ['10.9.8.0/24'] }, tags: { note: 'a tag' }, expiresAt: 9e15 })]),
      channelShard([channelRecord('openai', { headers: { 'x-secret': 'header-secret' } })]),
    );
    const text = JSON.stringify(index.describe());
    expect(text).toContain('"id":"default/a"');
    expect(text).toContain('"id":"default/openai"');
    for (const hidden of [hashOf('a-key'), 'a-key', 'sk-provider-secret', 'header-secret', '10.9.8', 'a tag', 'provider.example.com'])
      expect(text).not.toContain(hidden);
  });
});

describe('documents of a newer version', () => {
  const newer = (name: string, document: object): NamedDocument => ({ name, bytes: gzipSync(JSON.stringify(document)) });

  it('leave the last good ones in force, the proxy ready, and are counted', async () => {
    await tell(indexDocument(), keyShard([keyRecord('a')]), channelShard([]));
    await tell(indexDocument({ epoch: 2, minReader: 2 }), keyShard([keyRecord('b')], { minReader: 2 }));
    expect([find('a-key'), find('b-key'), index.ready, index.missing()]).toEqual(['default/a', undefined, true, []]);
    expect(await metric('incompatible')).toContain('2');
    await tell(indexDocument(), keyShard([keyRecord('b')]));
    expect([find('b-key'), await metric('incompatible')]).toEqual(['default/b', expect.arrayContaining(['0'])]);
  });

  it('of a kind that this one does not know do no harm, whatever their name', async () => {
    await tell(newer('keywright-snapshot-0-first', { kind: 'first', schema: 2, minReader: 1, entries: [1] }));
    await tell(indexDocument(), keyShard([keyRecord('a')]), channelShard([]));
    await tell(newer('keywright-snapshot-policies', { kind: 'policies', schema: 2, minReader: 1 }));
    expect([find('a-key'), index.ready]).toEqual(['default/a', true]);
  });
});

describe('revocations beside the shards', () => {
  const entry = { keyId: 'default/a', uid: 'uid-of-a', gen: 1, state: 'Revoked', ended: [] };
  const document = (entries: readonly object[], name = 'keywright-snapshot-revocations'): NamedDocument => ({
    name,
    bytes: gzipSync(JSON.stringify({ kind: 'revocations', schema: 1, minReader: 1, entries })),
  });

  it('are told before the shards that come in the same burst make the proxy ready', async () => {
    const told: string[] = [];
    index.revocations.listen(({ keyId, state }) => void told.push(`${keyId} ${state} ready=${index.ready}`));
    await tell(indexDocument(), keyShard([keyRecord('a')]), channelShard([]), document([entry]));
    expect(told).toEqual(['default/a Revoked ready=false']);
  });

  it('are told also to who asks later, and stay when their Secret goes', async () => {
    await tell(document([entry]));
    await remove('keywright-snapshot-revocations');
    const told: string[] = [];
    index.revocations.listen(({ keyId }) => void told.push(keyId));
    expect(told).toEqual(['default/a']);
  });

  it.each([
    ['an unknown state', document([{ ...entry, state: 'Gone' }])],
    ['a name alone', document([{ ...entry, uid: '*' }])],
    ['too many', document(Array.from({ length: 5_001 }, () => entry))],
    ['under another name', document([entry], 'keywright-snapshot-index')],
  ])('are refused as a whole: %s', async (_, bad) => {
    const told: string[] = [];
    index.revocations.listen(({ keyId }) => void told.push(keyId));
    await tell(bad);
    expect(told).toEqual([]);
    expect(await metric('incompatible')).toContain('1');
  });
});

describe('sealed documents', () => {
  const [first, second] = [makeSealKey(), makeSealKey()];
  let seal: FakeSeal;

  beforeEach(() => {
    seal = new FakeSeal(sealKeysOf(first));
    const log = makeLog({ level: 'debug', name: 'test', destination: { write: (line: string) => void logged.push(line) } });
    metrics = makeMetrics();
    index = new SnapshotIndex({ log, metrics, clock, read: makeDocumentReader({ seal, namespace: 'snapshot' }) });
    seal.onChange(() => index.unlock());
  });

  const sealedWith = (keys: SealKeys, { name, bytes }: NamedDocument, under = name): NamedDocument => ({
    name,
    bytes: keys.seal(bytes, { type: 'keywright.dev/snapshot', namespace: 'snapshot', name: under, entry: 'document' }),
  });
  const snapshot = [indexDocument(), keyShard([keyRecord('a')]), channelShard([])];

  it('are read with their key, whichever of several it is', async () => {
    await tell(...snapshot.map((document) => sealedWith(sealKeysOf(first), document)));
    expect(find('a-key')).toBe('default/a');
    seal.change(sealKeysOf(second, first));
    await tell(sealedWith(sealKeysOf(second), keyShard([keyRecord('b')])));
    expect(find('b-key')).toBe('default/b');
  });

  it('keep a proxy without the key from being ready, which says so, until the key comes', async () => {
    seal.change(noSealKeys);
    await tell(...snapshot.map((document) => sealedWith(sealKeysOf(first), document)));
    expect(index.missing().join()).toMatch(
      /the index document is refused: it is sealed with key [0-9a-f]{16}, and KEYWRIGHT_SEAL_KEY_FILE is not set/,
    );
    expect(await metric('locked ')).toEqual(['3']);
    seal.change(sealKeysOf(second));
    await index.settled();
    expect(index.missing().join()).toMatch(/which is not in KEYWRIGHT_SEAL_KEY_FILE/);
    await tell(sealedWith(sealKeysOf(second), indexDocument()));
    expect(index.missing().join()).toMatch(/a shard of epoch 1 cannot be opened: it is sealed with key/);
    seal.change(sealKeysOf(second, first));
    await index.settled();
    expect(index.missing()).toEqual([]);
    expect(find('a-key')).toBe('default/a');
    expect(await metric('locked ')).toEqual(['0']);
  });

  it('of another key leave the last good one in force', async () => {
    await tell(...snapshot.map((document) => sealedWith(sealKeysOf(first), document)));
    await tell(sealedWith(sealKeysOf(second), keyShard([keyRecord('b')])));
    expect([find('a-key'), find('b-key')]).toEqual(['default/a', undefined]);
    expect(await metric('locked ')).toEqual(['1']);
    seal.change(sealKeysOf(first, second));
    await index.settled();
    expect([find('a-key'), find('b-key')]).toEqual([undefined, 'default/b']);
  });

  it('that wait for their key give way to newer ones', async () => {
    await tell(...snapshot.map((document) => sealedWith(sealKeysOf(first), document)));
    await tell(sealedWith(sealKeysOf(second), keyShard([keyRecord('b')])));
    await tell(sealedWith(sealKeysOf(first), keyShard([keyRecord('c')])));
    seal.change(sealKeysOf(first, second));
    await index.settled();
    expect([find('b-key'), find('c-key')]).toEqual([undefined, 'default/c']);
  });

  it('cannot be moved to another name, and unsealed ones are not taken in their place', async () => {
    await tell(...snapshot.map((document) => sealedWith(sealKeysOf(first), document)));
    await tell(sealedWith(sealKeysOf(first), keyShard([keyRecord('b')]), 'keywright-snapshot-9-keys-0'), keyShard([keyRecord('b')]));
    expect(find('a-key')).toBe('default/a');
    expect(logged.join()).toMatch(/it is not sealed, and KEYWRIGHT_SEAL_KEY_FILE has no line \\"plain\\"/);
  });
});

describe('a large snapshot', () => {
  it('is built in slices: other work runs in between, and the old answers stay until the new ones are all there', async () => {
    await tell(indexDocument(), keyShard([keyRecord('a')]), channelShard([]));
    const records = Array.from({ length: 5_000 }, (_, number) => keyRecord(`k${number}`));
    let turns = 0;
    let building = true;
    const seen = new Set<string>();
    const turn = (): void => {
      turns += 1;
      seen.add([find('a-key'), find('k0-key'), find('k4999-key')].join(' '));
      if (building) setImmediate(turn);
    };
    setImmediate(turn);
    await tell(indexDocument({ epoch: 2 }), keyShard(records, { epoch: 2 }), channelShard([], { epoch: 2 }));
    building = false;
    seen.add([find('a-key'), find('k0-key'), find('k4999-key')].join(' '));
    expect(turns).toBeGreaterThan(2);
    expect([...seen]).toEqual(['default/a  ', ' default/k0 default/k4999']);
  });
});
