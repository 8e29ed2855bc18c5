import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { ClusterObject } from '../../operator/cluster/cluster.ts';
import { type IsForeign, parseManifests, type Manifest, type ManifestMistake } from './parse-manifests.ts';

/** A file as a scan sees it: whether it is still the same can be told without reading it. */
export interface FileSight {
  /** relative to the folder; names the file in mistakes */
  readonly name: string;
  readonly path: string;
  /** size, modification time and inode: an editor that replaces the file changes the inode */
  readonly print: string;
}

export interface FolderSight {
  readonly files: readonly FileSight[];
  /** sub-folders (with a trailing slash, `''` the folder itself) and files that are there but cannot be looked at */
  readonly unreadable: readonly { readonly name: string; readonly reason: string }[];
}

export interface FolderContent {
  readonly objects: readonly ClusterObject[];
  readonly mistakes: readonly string[];
  /**
   * false: something of the folder could not be read and no earlier form of it is known. An object of an earlier run that is missing then may only be unreadable, and must
   * not be taken for deleted.
   */
  readonly complete: boolean;
  /** true if a text that could not be read as manifests holds this name: the object may have moved there, and must not be taken for deleted */
  mentions(name: string): boolean;
}

/** Deeper is a link that leads back into itself. */
const maxDepth = 12;
/** A kustomization is the instruction of a tool, not an object. */
const manifestName = /^(?!kustomization\.ya?ml$).*\.(?:ya?ml|json)$/i;

/**
 * Looks for `*.yaml`, `*.yml` and `*.json` in a folder and its sub-folders, in order of their names. Hidden entries are skipped, and with them the `..data` and
 * `..<time>` folders of a mounted ConfigMap, whose files are seen through the links beside them.
 */
export async function scanFolder(directory: string): Promise<FolderSight> {
  const files: FileSight[] = [];
  const unreadable: { name: string; reason: string }[] = [];
  const look = async (folder: string, depth: number): Promise<void> => {
    const shown = relative(directory, folder);
    const prefix = shown === '' ? '' : `${shown}/`;
    let names: string[];
    try {
      names = await readdir(folder);
    } catch (error) {
      const reason = toCode(error);
      // a sub-folder that vanished in the meantime is a deletion; the folder itself being away is trouble
      if (reason !== 'ENOENT' || depth === 0) unreadable.push({ name: prefix, reason });
      return;
    }
    for (const name of names.filter((entry) => !entry.startsWith('.')).sort()) {
      const path = join(folder, name);
      const sight = await lookAt(path);
      if (sight === 'gone') continue;
      if (typeof sight === 'string') {
        if (manifestName.test(name)) unreadable.push({ name: prefix + name, reason: sight });
      } else if (sight.isFolder) {
        if (depth < maxDepth) await look(path, depth + 1);
      } else if (manifestName.test(name)) files.push({ name: prefix + name, path, print: sight.print });
    }
  };
  await look(directory, 0);
  return { files, unreadable };
}

async function lookAt(path: string): Promise<{ isFolder: boolean; print: string } | string> {
  try {
    const found = await stat(path, { bigint: true });
    return { isFolder: found.isDirectory(), print: `${found.size}:${found.mtimeNs}:${found.ino}` };
  } catch (error) {
    const code = toCode(error);
    if (code !== 'ENOENT') return code;
    // a link whose target is away for the moment is not a deleted file
    return (await lstat(path).catch(() => undefined)) === undefined ? 'gone' : code;
  }
}

export type FileReading = (
  | { readonly ok: true; readonly objects: readonly Manifest[] }
  | {
      readonly ok: false;
      readonly isUnreadable: boolean;
      readonly mistakes: readonly ManifestMistake[];
      /** those of the documents that have no mistake: a bad one harms only itself */
      readonly objects: readonly Manifest[];
      /** what the bad documents stand in; absent when there is no text */
      readonly text?: string;
    }
) & { /** documents that were passed over */ readonly foreign: number };

/** Reads one file. */
export async function readManifestFile(file: Pick<FileSight, 'name' | 'path'>, isForeign?: IsForeign): Promise<FileReading> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file.path));
  } catch (error) {
    const isText = !(error instanceof TypeError);
    const message = isText ? `cannot be read (${toCode(error)})` : 'must be UTF-8 text';
    return { ok: false, isUnreadable: isText, mistakes: [{ file: file.name, line: 1, message }], objects: [], foreign: 0 };
  }
  const { objects, mistakes, foreign } = parseManifests(text, file.name, isForeign);
  return mistakes.length > 0 ? { ok: false, isUnreadable: false, mistakes, objects, text, foreign } : { ok: true, objects, foreign };
}

/** `Kind namespace/name`; an absent namespace is `default`. */
export function toObjectName({ kind, metadata }: ClusterObject): string {
  return `${kind} ${metadata.namespace ?? 'default'}/${metadata.name}`;
}

/** Drops objects that are there twice: the first in the order given stays. */
export function toUnique(manifests: readonly Manifest[]): { objects: readonly Manifest[]; mistakes: readonly ManifestMistake[] } {
  const first = new Map<string, Manifest>();
  const mistakes: ManifestMistake[] = [];
  for (const manifest of manifests) {
    const name = toObjectName(manifest.object);
    const earlier = first.get(name);
    if (earlier === undefined) first.set(name, manifest);
    else {
      const message = `${name} is also in ${earlier.file}:${earlier.line}, which is used; remove one of them`;
      mistakes.push({ file: manifest.file, line: manifest.line, message });
    }
  }
  return { objects: [...first.values()], mistakes };
}

function toCode(error: unknown): string {
  return (error as NodeJS.ErrnoException | undefined)?.code ?? 'unknown error';
}
