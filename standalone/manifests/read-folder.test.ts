import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { untilHolds } from '../../test/support/eventually.ts';
import { makeLog } from '../../runtime/log.ts';
import { watchManifestFolder, type FolderWatch } from './read-folder.ts';
import type { FolderContent } from './scan-folder.ts';

const log = makeLog({ level: 'silent', name: 'test' });
let directory: string;
let contents: FolderContent[];
let running: FolderWatch[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keywright-folder-'));
  contents = [];
  running = [];
});

afterEach(async () => {
  await Promise.all(running.map((watch) => watch.stop()));
  rmSync(directory, { recursive: true, force: true });
});

function secret(name: string, entry = 'a'): string {
  return `apiVersion: v1\nkind: Secret\nmetadata: { name: ${name} }\nstringData: { entry: ${entry} }\n---\n`;
}

function put(name: string, text: string): void {
  writeFileSync(join(directory, name), text);
}

async function start(settleMs = 20): Promise<void> {
  const watch = watchManifestFolder({ directory, log, intervalMs: 20, settleMs, onChange: (content) => void contents.push(content) });
  running.push(watch);
  await watch.ready;
}

function names(): string[] {
  return (contents.at(-1)?.objects ?? []).map(({ metadata }) => metadata.name);
}

async function untilNames(...expected: string[]): Promise<void> {
  await untilHolds(() => expect(names()).toEqual(expected), { everyMs: 10 });
}

describe('watchManifestFolder', () => {
  it('gives content that was not taken over once more, without a change of the folder', async () => {
    put('a.yaml', secret('a'));
    let failures = 3;
    const onChange = async (content: FolderContent): Promise<void> => {
      failures -= 1;
      if (failures >= 0) throw new Error('no space left');
      contents.push(content);
    };
    const watch = watchManifestFolder({ directory, log, intervalMs: 20, settleMs: 20, onChange });
    running.push(watch);
    await expect(watch.ready).rejects.toThrow('no space left');
    await untilNames('a');
    await new Promise((resolve) => void setTimeout(resolve, 100));
    expect(contents).toHaveLength(1);
  });

  it('reads all manifests of the folder and its sub-folders, and nothing else', async () => {
    mkdirSync(join(directory, 'team'));
    mkdirSync(join(directory, '.git'));
    put('b.yml', secret('b'));
    put('a.json', '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}');
    put('team/c.yaml', secret('c'));
    put('.git/d.yaml', secret('d'));
    put('README.md', '# no manifest');
    await start();
    expect(names()).toEqual(['a', 'b', 'c']);
    expect(contents[0]).toMatchObject({ mistakes: [], complete: true });
  });

  it('follows new, changed, replaced and removed files', async () => {
    await start();
    put('a.yaml', secret('a'));
    await untilNames('a');
    put('a.yaml', secret('a') + secret('b'));
    await untilNames('a', 'b');
    put('a.tmp', secret('c'));
    renameSync(join(directory, 'a.tmp'), join(directory, 'a.yaml'));
    await untilNames('c');
    unlinkSync(join(directory, 'a.yaml'));
    await untilNames();
  });

  it('is told at once of a file that is renamed over another, again and again', async () => {
    put('a.yaml', secret('a'));
    // so seldom that only a notice can make it look
    const watch = watchManifestFolder({
      directory,
      log,
      intervalMs: 3_600_000,
      settleMs: 20,
      onChange: (content) => void contents.push(content),
    });
    running.push(watch);
    await watch.ready;
    for (const name of ['b', 'c', 'd']) {
      put('.next', secret(name));
      renameSync(join(directory, '.next'), join(directory, 'a.yaml'));
      await untilNames(name);
    }
  });

  it('looks also while something else in the folder is written all the time', async () => {
    put('a.yaml', secret('a'));
    await start(300);
    const noise = setInterval(() => put('noise.txt', String(Math.random())), 5);
    try {
      put('a.yaml', secret('b'));
      await untilNames('b');
    } finally {
      clearInterval(noise);
    }
  });

  it('keeps the last good objects of a file that became invalid', async () => {
    put('a.yaml', secret('a'));
    await start();
    put('a.yaml', 'kind: [\n');
    await untilHolds(() => expect(contents.at(-1)?.mistakes).toEqual([expect.stringMatching(/^a\.yaml:\d+: /)]));
    expect(names()).toEqual(['a']);
    expect(contents.at(-1)?.complete).toBe(true);
    put('a.yaml', secret('b'));
    await untilNames('b');
    expect(contents.at(-1)?.mistakes).toEqual([]);
  });

  it('says that it is incomplete while a file was never good', async () => {
    put('a.yaml', 'kind: [\n');
    put('b.yaml', secret('b'));
    await start();
    expect(contents[0]).toMatchObject({ complete: false });
    expect(names()).toEqual(['b']);
  });

  it('takes the good documents of a file, and keeps those that may be the bad ones', async () => {
    put('a.yaml', `${secret('a')}kind: Foo\n---\n${secret('b')}{ broken: [\n---\n${secret('c')}`);
    await start();
    expect(names()).toEqual(['a', 'b', 'c']);
    expect(contents[0]?.mistakes.length).toBeGreaterThan(1);
    expect(contents[0]).toMatchObject({ complete: false });
    put('a.yaml', secret('a') + secret('b') + secret('c'));
    await untilHolds(() => expect(contents.at(-1)).toMatchObject({ mistakes: [], complete: true }));
    put('a.yaml', `${secret('a', 'new')}{ broken: [\n---\n${secret('d')}`);
    await untilNames('a', 'd', 'b', 'c');
    expect(contents.at(-1)?.objects[0]).toMatchObject({ stringData: { entry: 'new' } });
    put('a.yaml', secret('d'));
    await untilNames('d');
  });

  it('tells which names stand in a text that it could not read', async () => {
    put('a.yaml', 'metadata: { name: one }\nspec: [\n');
    put('b.yaml', secret('two'));
    await start();
    expect(['one', 'on', 'two'].map((name) => contents[0]?.mentions(name))).toEqual([true, false, false]);
    put('a.yaml', secret('one'));
    await untilNames('one', 'two');
    expect(contents.at(-1)?.mentions('one')).toBe(false);
  });

  it('does not take an editor that truncates, or removes and writes, for a deletion', async () => {
    put('a.yaml', secret('a'));
    // longer than a busy machine may take for what an editor does
    await start(3_000);
    put('a.yaml', '');
    await new Promise((resolve) => setTimeout(resolve, 80));
    unlinkSync(join(directory, 'a.yaml'));
    await new Promise((resolve) => setTimeout(resolve, 80));
    put('a.yaml', secret('a', 'other'));
    await untilHolds(() => expect(contents.length).toBe(2));
    expect(contents.map(({ objects }) => objects.length)).toEqual([1, 1]);
  });

  it('follows the links of a mounted ConfigMap', async () => {
    mkdirSync(join(directory, '..1'));
    mkdirSync(join(directory, '..2'));
    put('..1/a.yaml', secret('a'));
    put('..2/a.yaml', secret('b'));
    symlinkSync('..1', join(directory, '..data'));
    symlinkSync('..data/a.yaml', join(directory, 'a.yaml'));
    await start();
    expect(names()).toEqual(['a']);
    symlinkSync('..2', join(directory, '..data_tmp'));
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    await untilNames('b');
  });

  it('uses the first of two files that hold the same object, and says so', async () => {
    put('a.yaml', secret('same', 'first'));
    put('b.yaml', secret('same', 'second'));
    await start();
    expect(contents[0]?.objects).toMatchObject([{ stringData: { entry: 'first' } }]);
    expect(contents[0]?.mistakes).toEqual(['b.yaml:1: Secret default/same is also in a.yaml:1, which is used; remove one of them']);
    unlinkSync(join(directory, 'a.yaml'));
    await untilHolds(() => expect(contents.at(-1)?.objects).toMatchObject([{ stringData: { entry: 'second' } }]));
  });

  it('keeps everything while the folder itself is away', async () => {
    put('a.yaml', secret('a'));
    await start();
    renameSync(directory, `${directory}-away`);
    await untilHolds(() => expect(contents.at(-1)?.mistakes).toEqual([`${directory}: cannot be read (ENOENT)`]));
    expect(contents.at(-1)).toMatchObject({ complete: false });
    expect(names()).toEqual(['a']);
    renameSync(`${directory}-away`, directory);
    put('b.yaml', secret('b'));
    await untilNames('a', 'b');
  });

  it('reports a link whose target is away instead of deleting its objects', async () => {
    put('target.txt', secret('a'));
    symlinkSync('target.txt', join(directory, 'a.yaml'));
    await start();
    unlinkSync(join(directory, 'target.txt'));
    await untilHolds(() => expect(contents.at(-1)?.mistakes).toEqual(['a.yaml: cannot be read (ENOENT)']));
    expect(names()).toEqual(['a']);
  });

  it('refuses a file that is no UTF-8 and keeps its last good objects', async () => {
    put('a.yaml', secret('a'));
    await start();
    writeFileSync(join(directory, 'a.yaml'), Buffer.from([0x61, 0xff, 0xfe]));
    await untilHolds(() => expect(contents.at(-1)?.mistakes).toEqual(['a.yaml:1: must be UTF-8 text']));
    expect(names()).toEqual(['a']);
  });
});
