import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ClusterObject } from '../operator/cluster/cluster.ts';
import { openStateStore, type StateStore } from './state-store.ts';

let directory: string;
let store: StateStore | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keywright-state-'));
});
afterEach(() => {
  store?.close();
  store = undefined;
  rmSync(directory, { recursive: true, force: true });
});

const open = (): StateStore => {
  store?.close();
  return (store = openStateStore({ directory, ownNamespaces: ['keywright-system'] }));
};
const secret = (name: string, namespace: string, labels: Record<string, string> = {}): ClusterObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace, labels },
});

describe('the state folder', () => {
  it('gives back what was saved', async () => {
    const objects = [
      { apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata: { name: 'a', namespace: 'default', uid: '1' } },
      secret('a-virtualkey', 'default', { 'keywright.dev/key': 'a' }),
      secret('record', 'keywright-system'),
    ];
    for (const object of objects) await open().save(object);
    expect(open().load()).toEqual(expect.arrayContaining(objects));
    expect(open().load()).toHaveLength(3);
  });

  it('keeps delivered keys where people look for them, and no provider key at all', async () => {
    await open().save(secret('a-virtualkey', 'default', { 'keywright.dev/key': 'a' }));
    await open().save(secret('provider-key', 'default', { 'keywright.dev/credential': 'true' }));
    expect(readdirSync(join(directory, 'secrets', 'default'))).toEqual(['a-virtualkey.json']);
    expect(statSync(join(directory, 'secrets', 'default', 'a-virtualkey.json')).mode & 0o777).toBe(0o600);
    expect(open().load()).toHaveLength(1);
  });

  it('forgets what was removed', async () => {
    const delivered = secret('a-virtualkey', 'default', { 'keywright.dev/key': 'a' });
    await open().save(delivered);
    await open().remove({ kind: 'Secret', namespace: 'default', name: 'a-virtualkey' });
    expect(open().load()).toEqual([]);
  });

  it('lets the event loop go on while a file is written and synced', async () => {
    let turns = 0;
    const count = (): void => {
      turns += 1;
      counting = setImmediate(count);
    };
    let counting = setImmediate(count);
    const state = open();
    for (let index = 0; index < 20; index += 1) await state.save(secret(`record-${index}`, 'keywright-system'));
    clearImmediate(counting);
    expect(turns).toBeGreaterThanOrEqual(20);
  });

  it('belongs to one living process at a time, and a dead one holds nothing', () => {
    open();
    writeFileSync(join(directory, 'lock'), '1');
    expect(() => openStateStore({ directory, ownNamespaces: [] })).toThrow(/in use by process 1/);
    writeFileSync(join(directory, 'lock'), '999999999');
    expect(() => openStateStore({ directory, ownNamespaces: [] })).not.toThrow();
  });

  it('takes a file for damaged that is empty, no object, or another one’s', async () => {
    await open().save(secret('record', 'keywright-system'));
    const file = join(directory, 'objects', 'Secret', 'keywright-system', 'record.json');
    for (const text of ['', 'null', '[]', '{"kind":"Secret"}', JSON.stringify(secret('other', 'keywright-system'))]) {
      writeFileSync(file, text);
      expect(() => open().load(), text).toThrow(/record\.json is damaged/);
    }
  });

  it('says in one sentence that the folder cannot be had', () => {
    const file = join(directory, 'file');
    writeFileSync(file, '');
    expect(() => openStateStore({ directory: file, ownNamespaces: [] })).toThrow(/^--state must be a folder .*\(EEXIST\)$/);
  });

  it('names a damaged file without quoting it', async () => {
    await open().save(secret('record', 'keywright-system'));
    writeFileSync(join(directory, 'objects', 'Secret', 'keywright-system', 'record.json'), '{"data": "sk-kw-plain');
    expect(() => open().load()).toThrow(/record\.json is damaged/);
    expect(() => open().load()).not.toThrow(/sk-kw/);
  });
});
