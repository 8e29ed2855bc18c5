import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../core/secret.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import { shardName } from '../../core/snapshot.ts';
import { hmacHex } from '../../runtime/digest.ts';
import { makeLog } from '../../runtime/log.ts';
import type { Cluster, SecretObject } from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/cluster.ts';
import { Publisher } from './publish.ts';
import { parseSnapshotSecret } from './snapshot-documents.ts';
import { World } from '../test-world.ts';

const installationSecret = new Secret('0123456789abcdef0123456789abcdef');
const bounds = { shardBytes: 20_000, secretBytes: 40_000, layout: { epoch: 1, keyBuckets: 4, channelBuckets: 2 } };

let publisher: Publisher | undefined;
let world = new World();
/** what the reconcilers want the proxies to know */
const wanted = new Map<string, KeyRecord>();
const registry = new Registry();
afterEach(async () => {
  latencyMs = () => 0;
  await die();
  wanted.clear();
});

/** A record of about `bytes`, which gzip cannot make smaller. */
function makeRecord(id: string, bytes = 600, changes: Partial<KeyRecord> = {}): KeyRecord {
  const noise = Array.from({ length: Math.ceil(bytes / 48) }, (_, part) =>
    Buffer.from(hmacHex(id, String(part)), 'hex').toString('base64'),
  );
  const credentials = [{ id: '0123456789ab', hash: hmacHex('hash', id), prefix: '', state: 'Active' as const }];
  return { id, uid: 'uid', generation: 1, gen: 1, state: 'Active', credentials, access: {}, tags: { noise: noise.join('') }, ...changes };
}

/** How long a write takes on its way there, and the answer on its way back. */
let latencyMs: () => number = () => 0;

/** The cluster as over a network: while a write is under way the world goes on. */
function makeDistant(): Cluster {
  const { cluster, clock } = world;
  const travel = async (): Promise<void> => {
    const ms = latencyMs();
    if (ms > 0) await new Promise<void>((resolve) => void clock.after(ms, resolve));
  };
  const write = async <R>(send: () => Promise<R>): Promise<R> => {
    await travel();
    const answer = await send();
    await travel();
    return answer;
  };
  return {
    reflect: (options) => cluster.reflect(options),
    get: (reference) => cluster.get(reference),
    list: (options) => cluster.list(options),
    listEach: (options, take) => cluster.listEach(options, take),
    create: (object) => write(() => cluster.create(object)),
    replace: (object) => write(() => cluster.replace(object)),
    patchStatus: (object, status) => write(() => cluster.patchStatus(object, status)),
    remove: (reference) => write(() => cluster.remove(reference)),
    recordEvent: (event) => cluster.recordEvent(event),
    close: () => cluster.close(),
  };
}

/** A process that begins: it reads what is there, is told what is wanted of every key, and opens. */
async function start(): Promise<void> {
  publisher = new Publisher({
    cluster: makeDistant(),
    namespace: 'snapshot',
    installationSecret,
    clock: world.clock,
    random: () => 0.5,
    log: makeLog({ level: 'silent', name: 'test' }),
    metrics: { registry },
    onPublished: () => undefined,
    bounds,
  });
  const started = publisher;
  const watch = world.cluster.reflect<SecretObject>({
    kind: 'Secret',
    namespace: 'snapshot',
    metadataOnly: true,
    onEvent: (event) => {
      if (publisher === started) started.observe(event);
      else void watch.stop();
    },
  });
  await started.load();
  started.start();
  for (const id of new Set([...started.ids('keys'), ...wanted.keys()])) started.setKey(id, wanted.get(id));
  started.open();
}

async function die(): Promise<void> {
  const dying = publisher;
  publisher = undefined;
  const ended = dying?.stop();
  await world.advance(1_000);
  await ended;
}

function set(id: string, record: KeyRecord | undefined, urgent = false): void {
  if (record === undefined) wanted.delete(id);
  else wanted.set(id, record);
  publisher?.setKey(id, record, { urgent });
}

interface Seen {
  readonly epoch: number;
  readonly keys: ReadonlyMap<string, KeyRecord>;
}

/** What a proxy sees that starts now; a string says why it would not be ready. */
function read(): Seen | string {
  const documents = new Map(
    world.cluster.objects().flatMap((object) => {
      const document = object.metadata.namespace === 'snapshot' ? parseSnapshotSecret(object) : undefined;
      return document === undefined ? [] : [[object.metadata.name, document] as const];
    }),
  );
  const index = documents.get('keywright-snapshot-index');
  if (index?.kind !== 'index') return 'no index';
  const keys = new Map<string, KeyRecord>();
  for (let bucket = 0; bucket < index.keyBuckets; bucket += 1) {
    const shard = documents.get(shardName(index.epoch, 'keys', bucket));
    if (shard?.kind !== 'keys' || shard.buckets !== index.keyBuckets) return `shard ${bucket} of epoch ${index.epoch} is not there`;
    for (const record of shard.records) keys.set(record.id, record);
  }
  for (let bucket = 0; bucket < index.channelBuckets; bucket += 1)
    if (documents.get(shardName(index.epoch, 'channels', bucket)) === undefined)
      return `channels ${bucket} of epoch ${index.epoch} are not there`;
  return { epoch: index.epoch, keys };
}

function epochsStored(): number[] {
  const found = world.cluster.objects().flatMap(({ metadata }) => /^keywright-snapshot-(\d+)-/.exec(metadata.name)?.[1] ?? []);
  return [...new Set(found.map(Number))].toSorted((left, right) => left - right);
}

/** Compares each state of the cluster with the one before; gives what must never happen. */
class Watcher {
  readonly broken: string[] = [];
  readonly #deleted = new Set<string>();
  #before: Seen | undefined;

  look(): void {
    const now = read();
    if (typeof now === 'string') {
      if (this.#before !== undefined) this.broken.push(now);
      return;
    }
    const before = this.#before;
    this.#before = now;
    if (before === undefined) return;
    if (now.epoch < before.epoch) this.broken.push('the epoch goes back');
    for (const [id, record] of before.keys) this.#compare(id, record, now.keys.get(id));
    for (const id of now.keys.keys())
      if (this.#deleted.has(id) && !before.keys.has(id) && !wanted.has(id)) this.broken.push(`${id} comes back`);
  }

  #compare(id: string, before: KeyRecord, after: KeyRecord | undefined): void {
    if (after === undefined) {
      this.#deleted.add(id);
      if (wanted.has(id)) this.broken.push(`${id} is not published any more`);
    } else if (after.gen < before.gen) this.broken.push(`${id} goes back from gen ${before.gen} to ${after.gen}`);
  }
}

const differences = (): string[] => {
  const seen = read();
  if (typeof seen === 'string') return [seen];
  const wrong = [...wanted]
    .filter(([id, record]) => JSON.stringify(seen.keys.get(id)?.gen) !== JSON.stringify(record.gen))
    .map(([id]) => id);
  return [...wrong, ...[...seen.keys.keys()].filter((id) => !wanted.has(id))];
};

async function fill(count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) set(`team/k${number}`, makeRecord(`team/k${number}`));
  await world.advance(5_000);
}

describe('a shard that grows too large', () => {
  it('begins an epoch with twice the shards: all of them, then the index; the former goes 10 minutes later', async () => {
    world = new World();
    await start();
    await world.advance(2_000);
    const watcher = new Watcher();
    world.onWrite = () => {
      watcher.look();
      return undefined;
    };
    const writtenBefore = world.writes.length;
    await fill(160);
    const written = world.writes.slice(writtenBefore).map(({ name }) => name);
    expect(read()).toMatchObject({ epoch: 2 });
    const atIndex = written.indexOf('keywright-snapshot-index');
    expect(new Set(written.slice(0, atIndex).filter((name) => name.startsWith('keywright-snapshot-2-'))).size).toBe(8 + 2);
    expect(epochsStored()).toEqual([1, 2]);
    await world.advance(590_000);
    expect(epochsStored()).toEqual([1, 2]);
    const settled = world.writes.length;
    await world.advance(20_000);
    expect(epochsStored()).toEqual([2]);
    expect(world.writes.slice(settled).every(({ verb, name }) => verb === 'remove' && name.startsWith('keywright-snapshot-1-'))).toBe(true);
    const atRest = world.writes.length;
    await world.advance(3_600_000);
    expect(world.writes).toHaveLength(atRest);
    expect([watcher.broken, differences()]).toEqual([[], []]);
  });

  it('never asks for more than a Secret can hold, however many come at once: who is there stays, who is new waits for the epoch', async () => {
    world = new World();
    await start();
    await world.advance(2_000);
    await fill(60);
    const watcher = new Watcher();
    let largest = 0;
    world.onWrite = () => {
      watcher.look();
      for (const object of world.cluster.objects()) {
        const data = (object as SecretObject).data?.['document'];
        largest = Math.max(largest, data === undefined ? 0 : Buffer.from(data, 'base64').length);
      }
      return undefined;
    };
    for (let number = 0; number < 40; number += 1)
      set(`team/k${number}`, makeRecord(`team/k${number}`, 600, { gen: 2, state: 'Revoked' }), true);
    for (let number = 0; number < 600; number += 1) set(`team/n${number}`, makeRecord(`team/n${number}`));
    await world.advance(10_000);
    expect(largest).toBeLessThanOrEqual(bounds.secretBytes);
    expect([watcher.broken, differences()]).toEqual([[], []]);
  });

  it('a restart does not grow it again, and reads the epoch that is in force', async () => {
    world = new World();
    await start();
    await fill(160);
    await die();
    const before = world.writes.length;
    await start();
    await world.advance(5_000);
    expect(read()).toMatchObject({ epoch: 2 });
    expect(world.writes).toHaveLength(before);
  });

  it('an index that somebody deletes or damages comes back for the epoch in force, also after a restart', async () => {
    world = new World();
    await start();
    await fill(160);
    await world.cluster.delete({ kind: 'Secret', namespace: 'snapshot', name: 'keywright-snapshot-index' });
    await world.advance(3_000);
    expect(read()).toMatchObject({ epoch: 2 });
    await die();
    await world.cluster.delete({ kind: 'Secret', namespace: 'snapshot', name: 'keywright-snapshot-index' });
    await start();
    await world.advance(3_000);
    expect([(read() as Seen).epoch, differences()]).toEqual([2, []]);
  });

  it('an unfinished epoch that nobody needs any more is removed', async () => {
    world = new World();
    await start();
    await world.advance(2_000);
    let left = 6;
    world.onWrite = ({ name }) =>
      name.startsWith('keywright-snapshot-2-') && (left -= 1) < 0 ? new ClusterError('Unavailable', 'dead') : undefined;
    await fill(160);
    await die();
    world.onWrite = () => undefined;
    for (const id of [...wanted.keys()].slice(40)) wanted.delete(id);
    await start();
    await world.advance(5_000);
    expect(epochsStored()).toContain(2);
    await world.advance(610_000);
    expect(epochsStored()).toEqual([1]);
    expect(differences()).toEqual([]);
  });
});

/** Numbers that look random and are the same in every run. */
function makeDice(seed: number): (sides: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (sides) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x297a2d39) >>> 0;
    return (state >>> 8) % sides;
  };
}

/** One step of the world while the epoch changes: a key comes, is edited, revoked, deleted. */
function change(dice: (sides: number) => number, ended: Set<string>): void {
  const id = `team/k${dice(160)}`;
  // a name that was used before comes back only with a higher gen, which this model does not do
  if (ended.has(id)) return;
  const known = wanted.get(id);
  const kind = dice(6);
  if (known === undefined || kind < 2)
    set(id, makeRecord(id, 500 + dice(200), { gen: (known?.gen ?? 0) + 1, state: known?.state ?? 'Active' }));
  else if (kind < 5) set(id, { ...known, gen: known.gen + 1, state: 'Revoked' }, true);
  else if (!id.endsWith('7')) set(id, { ...known, gen: known.gen + 1 });
  else {
    ended.add(id);
    set(id, undefined, true);
  }
}

/** A run in which the process dies at its n-th write and some writes fail, with changes all the while; a successor follows each time. */
async function live(seed: number): Promise<string[]> {
  const dice = makeDice(seed);
  world = new World();
  wanted.clear();
  latencyMs = () => dice(30);
  await start();
  await world.advance(2_000);
  const watcher = new Watcher();
  const ended = new Set<string>();
  let untilDeath = 20 + dice(300);
  world.onWrite = () => {
    watcher.look();
    untilDeath -= 1;
    if (untilDeath < 0) return new ClusterError('Unavailable', 'the process is dead');
    return dice(40) === 0 ? new ClusterError('Unavailable', 'this write fails') : undefined;
  };
  for (let number = 0; number < 110; number += 1) set(`team/k${number}`, makeRecord(`team/k${number}`));
  for (let step = 0; step < 120; step += 1) {
    change(dice, ended);
    await world.advance([0, 5, 20, 20, 50, 300][dice(6)] ?? 0);
    if (untilDeath >= 0) continue;
    await die();
    untilDeath = 20 + dice(400);
    await start();
  }
  untilDeath = Infinity;
  world.onWrite = () => void watcher.look();
  if (publisher === undefined) await start();
  await world.advance(130_000);
  watcher.look();
  const left = [...watcher.broken, ...differences()];
  await die();
  return left;
}

describe('while epochs change, with a process that dies at any write and writes that fail', () => {
  const runs = Number(process.env['KEYWRIGHT_PROVE_RUNS'] ?? 12);
  it('no key is unpublished, none goes back, none comes back, and in the end all is as wanted', async () => {
    for (let seed = 1; seed <= runs; seed += 1) expect([seed, await live(seed)]).toEqual([seed, []]);
  }, 600_000);
});
