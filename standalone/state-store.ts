import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ClusterObject, Reference } from '../operator/cluster/cluster.ts';

/**
 * The durable half of standalone: a folder (0700) of JSON files (0600), one an object, written to a temporary name, synced and renamed, so that a crash leaves
 * the old or the new one. What a person looks for is `secrets/<namespace>/<name>.json`; the rest is ours. A disk may take tens of milliseconds to sync one file, and the
 * same process serves clients: nothing here waits for it on the event loop. One write at a time.
 */
export interface StateStore {
  /** every object kept so far; an unreadable file is a mistake of the whole folder, not a missing object */
  load(): ClusterObject[];
  save(object: ClusterObject): Promise<void>;
  remove(reference: Reference): Promise<void>;
  close(): void;
}

export interface StateStoreOptions {
  readonly directory: string;
  /** namespaces whose Secrets are ours */
  readonly ownNamespaces: readonly string[];
}

/** Takes the folder for this process alone. Throws with a clear sentence when another living process has it or a file is damaged. */
export function openStateStore(options: StateStoreOptions): StateStore {
  const { directory } = options;
  const release = takeFolder(directory);
  return {
    load: () => loadAll(directory),
    async save(object) {
      const file = fileOf(options, object);
      if (file !== undefined) await writeDurably(join(directory, file), `${JSON.stringify(object, null, 2)}\n`);
    },
    async remove(reference) {
      for (const folder of ['secrets', 'objects/Secret', `objects/${reference.kind}`]) {
        await rm(join(directory, folder, reference.namespace ?? '', `${reference.name}.json`), { force: true });
      }
    },
    close: release,
  };
}

/** Where an object is kept, relative to the folder; undefined for what the manifests folder already holds (provider keys stay there and only there). */
function fileOf(options: StateStoreOptions, object: ClusterObject): string | undefined {
  const { name, namespace = '', labels } = object.metadata;
  if (object.kind === 'VirtualKey' || object.kind === 'Channel') return join('objects', object.kind, namespace, `${name}.json`);
  if (object.kind !== 'Secret') return undefined;
  if (options.ownNamespaces.includes(namespace)) return join('objects', 'Secret', namespace, `${name}.json`);
  return labels?.['keywright.dev/key'] === undefined ? undefined : join('secrets', namespace, `${name}.json`);
}

function loadAll(directory: string): ClusterObject[] {
  const objects: ClusterObject[] = [];
  for (const folder of ['secrets', 'objects']) {
    const root = join(directory, folder);
    if (!existsSync(root)) continue;
    for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
      if (entry.isFile() && entry.name.endsWith('.json')) objects.push(readObject(join(entry.parentPath, entry.name)));
    }
  }
  return objects;
}

function readObject(file: string): ClusterObject {
  try {
    const object: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (isObjectOf(object, basename(file, '.json'))) return object;
  } catch {
    // The parser's own message quotes the text, which may be a key.
  }
  throw new Error(`state file ${file} is damaged; restore it or remove it to start that object anew`);
}

/** Has it what every object of ours has, and the name of its file? */
function isObjectOf(value: unknown, name: string): value is ClusterObject {
  const { kind, metadata } = (value ?? {}) as { kind?: unknown; metadata?: { name?: unknown; namespace?: unknown } };
  const isKnown = kind === 'VirtualKey' || kind === 'Channel' || kind === 'Secret';
  return isKnown && metadata?.name === name && typeof metadata.namespace === 'string';
}

/** Leaves the old or the new content, whenever the machine stops. */
export async function writeDurably(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}

function takeFolder(directory: string): () => void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return takeLock(join(directory, 'lock'));
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    throw new Error(`--state must be a folder that this user may write to, not "${directory}" (${code})`, { cause: error });
  }
}

function takeLock(file: string): () => void {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      const descriptor = openSync(file, 'wx', 0o600);
      writeSync(descriptor, String(process.pid));
      closeSync(descriptor);
      const release = (): void => rmSync(file, { force: true });
      // also when the start fails: the number of a process that is gone may be given to another one
      process.once('exit', release);
      return () => {
        process.off('exit', release);
        release();
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const holder = Number(readFileSync(file, 'utf8'));
      if (isAlive(holder))
        throw new Error(`state folder is in use by process ${holder}; give each instance its own --state`, { cause: error });
      rmSync(file, { force: true });
    }
  }
  throw new Error(`state folder: could not take ${file}`);
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
