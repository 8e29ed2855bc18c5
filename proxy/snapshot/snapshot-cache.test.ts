import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { snapshotIndexName } from '../../core/snapshot.ts';
import { makeLog } from '../../runtime/log.ts';
import { channelShard, indexDocument, keyRecord, keyShard } from '../../test/fake/snapshot.ts';
import { FakeSeal, makeSealKey, sealKeysOf } from '../../test/fake/seal.ts';
import { withSnapshotCache } from './snapshot-cache.ts';
import { type DocumentReader, makeDocumentReader } from './snapshot-document.ts';
import type { SnapshotSink, SnapshotSource } from './snapshot-source.ts';

let directory: string;
let told: string[];
let logged: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keywright-cache-'));
  told = [];
  logged = [];
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** One life of a proxy: the source tells what `script` says, then the process ends in order. */
async function live(script: (sink: SnapshotSink) => void, read?: DocumentReader): Promise<string[]> {
  told = [];
  const source: SnapshotSource = { start: script, stop: async () => {} };
  const log = makeLog({ level: 'debug', name: 'test', destination: { write: (line: string) => void logged.push(line) } });
  const cached = withSnapshotCache(source, join(directory, 'cache'), log, read);
  cached.start({
    document: (name, bytes) => void told.push(`${name}:${bytes.length}`),
    removed: (name) => void told.push(`-${name}`),
    synced: () => void told.push('synced'),
    connected: (value) => void told.push(String(value)),
  });
  await cached.stop();
  return told;
}

const index = indexDocument({ epoch: 2 });
const keys = keyShard([keyRecord('a')], { epoch: 2 });
const channels = channelShard([], { epoch: 2 });
const old = keyShard([keyRecord('a')], { epoch: 1 });
const all = [index, keys, channels, old];
const shown = (documents: readonly { name: string; bytes: Uint8Array }[]): string[] =>
  documents.map(({ name, bytes }) => `${name}:${bytes.length}`).toSorted();
const files = (): string => join(directory, 'cache', 'snapshot');
const fileOf = (name: string): string => join(files(), `${name}.document`);

const tellAll = (sink: SnapshotSink): void => {
  for (const { name, bytes } of all) sink.document(name, bytes);
  sink.synced();
};
const silent = (): void => {};

describe('the restart cache', () => {
  it('passes everything on, and after a restart tells it before the source does', async () => {
    expect(await live((sink) => (sink.connected(true), tellAll(sink)))).toEqual([
      'true',
      ...all.map(({ name, bytes }) => `${name}:${bytes.length}`),
      'synced',
    ]);
    expect((await live((sink) => sink.connected(false))).toSorted()).toEqual([...shown(all), 'false'].toSorted());
    expect(told.at(-1)).toBe('false');
  });

  it('is open to nobody else', async () => {
    await live(tellAll);
    expect(statSync(files()).mode & 0o777).toBe(0o700);
    for (const file of readdirSync(files())) expect(statSync(join(files(), file)).mode & 0o777).toBe(0o600);
  });

  it('keeps the newest good document of each name', async () => {
    const newer = keyShard([keyRecord('a'), keyRecord('b')], { epoch: 2 });
    await live((sink) => {
      tellAll(sink);
      sink.document(keys.name, newer.bytes);
    });
    await live((sink) => {
      sink.document(keys.name, gzipSync('{}'));
      sink.document('../evil', keys.bytes);
      sink.document('keywright-other', keys.bytes);
    });
    expect((await live(silent)).toSorted()).toEqual(shown([index, newer, channels, old]));
    expect(readdirSync(directory)).toEqual(['cache']);
  });

  it('ignores a corrupt file with a log line, and clears up after a write that was cut off', async () => {
    await live(tellAll);
    const content = readFileSync(fileOf(keys.name));
    writeFileSync(fileOf(keys.name), content.subarray(0, -1));
    writeFileSync(fileOf(channels.name), '');
    writeFileSync(`${fileOf(index.name)}.new`, 'half');
    expect((await live(silent)).toSorted()).toEqual(shown([index, old]));
    expect(logged.filter((line) => line.includes('snapshot_cache_corrupt')).length).toBe(2);
    expect(readdirSync(files()).length).toBe(2);
  });

  it('lets go of what was removed, also while nobody looked, but of nothing in force', async () => {
    await live(tellAll);
    const lives = await live((sink) => {
      sink.document(index.name, index.bytes);
      sink.synced();
    });
    expect(lives.filter((each) => each.startsWith('-')).toSorted()).toEqual([keys, channels, old].map(({ name }) => `-${name}`).toSorted());
    expect((await live(silent)).toSorted()).toEqual(shown([index, keys, channels]));
    await live((sink) => {
      sink.synced();
      sink.removed(snapshotIndexName);
    });
    expect((await live(silent)).toSorted()).toEqual(shown([index, keys, channels]));
  });

  it('keeps sealed documents sealed', async () => {
    const keys = sealKeysOf(makeSealKey());
    const sealed = keys.seal(index.bytes, { type: 'keywright.dev/snapshot', namespace: 'snapshot', name: index.name, entry: 'document' });
    const read = makeDocumentReader({ seal: new FakeSeal(keys), namespace: 'snapshot' });
    await live((sink) => sink.document(index.name, sealed), read);
    expect(readFileSync(fileOf(index.name)).subarray(64).equals(sealed)).toBe(true);
    expect(await live(silent, read)).toEqual([`${index.name}:${sealed.length}`]);
  });

  it('reads nothing that others could have written', async () => {
    await live(tellAll);
    chmodSync(files(), 0o777);
    expect(await live(silent)).toEqual([]);
    expect(statSync(files()).mode & 0o777).toBe(0o700);
  });

  it('does without a directory that cannot be used', async () => {
    mkdirSync(join(directory, 'elsewhere'));
    mkdirSync(join(directory, 'cache'));
    symlinkSync(join(directory, 'elsewhere'), files());
    expect(await live(tellAll)).toEqual([...all.map(({ name, bytes }) => `${name}:${bytes.length}`), 'synced']);
    expect(logged.join('')).toContain('snapshot_cache_unusable');
    expect(readdirSync(join(directory, 'elsewhere'))).toEqual([]);
    rmSync(join(directory, 'cache'), { recursive: true });
    writeFileSync(join(directory, 'cache'), 'a file');
    expect((await live(tellAll)).at(-1)).toBe('synced');
  });
});
