import { watch, type FSWatcher } from 'node:fs';
import type { Log } from '../../runtime/log.ts';
import { formatManifestMistake, type Manifest, type ManifestMistake } from './parse-manifests.ts';
import {
  type FileReading,
  type FileSight,
  type FolderContent,
  type FolderSight,
  readManifestFile,
  scanFolder,
  toObjectName,
  toUnique,
} from './scan-folder.ts';

export interface WatchFolderOptions {
  readonly directory: string;
  readonly log: Log;
  /** called with the first content and then whenever it changed; never twice at the same time */
  readonly onChange: (content: FolderContent) => void | Promise<void>;
  /** how often the folder is looked at even if nothing told of a change; default 500, so that with `settleMs` an edit holds within a second */
  readonly intervalMs?: number;
  /** how long a file must stay as it is before it is read, and stay away before it counts as deleted; default 200 */
  readonly settleMs?: number;
}

export interface FolderWatch {
  /** settled once the first content was given to `onChange` */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Follows a folder of manifests. Change notices of the file system only make it look sooner: they are lost on network and container mounts, so it also looks every
 * `intervalMs`. An editor that truncates and writes, or removes and renames, is not taken for a deletion: content counts when it has stayed the same for `settleMs`.
 * A document with a mistake harms no other of its file, which keeps the objects that were last read from it and are in none of its good documents; a file that is gone is a
 * deletion.
 */
export function watchManifestFolder(options: WatchFolderOptions): FolderWatch {
  return new ManifestFolderWatch(options);
}

interface KnownFile {
  print: string;
  /** those it holds now, and while it has mistakes those it held before */
  objects: readonly Manifest[];
  /** false: it never was without mistakes, and may hold objects that nobody has seen */
  wasWhole: boolean;
  mistakes: readonly ManifestMistake[];
  /** what its mistakes stand in */
  text?: string | undefined;
}

interface Pending {
  readonly print: string;
  readonly sinceMs: number;
}

/** Stand for a file's print where there is none. */
const gone = 'gone';
const unreadable = 'unreadable';

class ManifestFolderWatch implements FolderWatch {
  readonly ready: Promise<void>;
  readonly #options: WatchFolderOptions;
  readonly #settleMs: number;
  readonly #files = new Map<string, KnownFile>();
  readonly #pending = new Map<string, Pending>();
  #unreadable = '';
  /** the last content was not taken over, so it is given again */
  #hasFailed = false;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = 0;
  readonly #watchers: FSWatcher[] = [];
  #looking: Promise<void>;
  #stopped = false;

  constructor(options: WatchFolderOptions) {
    this.#options = options;
    this.#settleMs = options.settleMs ?? 200;
    this.#watch();
    this.ready = this.#look(true);
    this.#looking = this.ready;
    // a failure of the very first onChange is the caller's, through `ready`; looking goes on meanwhile
    void this.ready.catch(() => {}).finally(() => this.#schedule(this.#nextMs()));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers) watcher.close();
    await this.#looking.catch(() => {});
  }

  /** Node's recursive watch misses files that are renamed into place (on Linux it watches each file it has seen), so the folder itself is watched on its own. */
  #watch(): void {
    try {
      for (const recursive of [false, true]) {
        const watcher = watch(this.#options.directory, { recursive, persistent: false }, () =>
          this.#schedule(Math.min(50, this.#settleMs)),
        );
        this.#watchers.push(watcher);
        watcher.on('error', () => watcher.close());
      }
    } catch {
      // no notices here (limit reached, file system without them): looking regularly is enough
    }
  }

  /** Sooner, never later: a folder in which something is written all the time would otherwise never be looked at. */
  #schedule(delayMs: number): void {
    const dueMs = performance.now() + delayMs;
    if (this.#stopped || (this.#timer !== undefined && this.#dueMs <= dueMs)) return;
    clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#lookAgain();
    }, delayMs);
  }

  #lookAgain(): void {
    this.#looking = this.#looking
      .catch(() => {})
      .then(() => this.#look(false))
      .catch((error: unknown) =>
        this.#options.log.error({ event: 'manifests_failed', err: error }, 'the manifests could not be taken over'),
      )
      .finally(() => this.#schedule(this.#nextMs()));
  }

  #nextMs(): number {
    const intervalMs = this.#options.intervalMs ?? 500;
    return this.#pending.size > 0 ? Math.min(this.#settleMs, intervalMs) : intervalMs;
  }

  async #look(isFirst: boolean): Promise<void> {
    if (this.#stopped) return;
    const sight = await scanFolder(this.#options.directory);
    const changed = await this.#takeOver(sight, isFirst);
    const folders = sight.unreadable.map(
      ({ name, reason }) => `${name === '' ? this.#options.directory : name}: cannot be read (${reason})`,
    );
    const before = this.#unreadable;
    this.#unreadable = folders.join('\n');
    if (!isFirst && !changed && !this.#hasFailed && before === this.#unreadable) return;
    if (this.#stopped) return;
    this.#hasFailed = true;
    await this.#options.onChange(this.#toContent(folders));
    this.#hasFailed = false;
  }

  async #takeOver(sight: FolderSight, isFirst: boolean): Promise<boolean> {
    let changed = false;
    const present = new Map(sight.files.map((file) => [file.name, file]));
    for (const name of new Set([...this.#files.keys(), ...present.keys()])) {
      const file = present.get(name);
      if (file === undefined && isHidden(name, sight)) continue;
      const print = file?.print ?? gone;
      if (this.#files.get(name)?.print === print) {
        this.#pending.delete(name);
        continue;
      }
      if (!isFirst && !this.#hasSettled(name, print)) continue;
      this.#pending.delete(name);
      const differs = file === undefined ? this.#files.delete(name) : await this.#read(file);
      changed ||= differs;
    }
    return changed;
  }

  #hasSettled(name: string, print: string): boolean {
    const nowMs = performance.now();
    const pending = this.#pending.get(name);
    if (pending?.print === print) return nowMs - pending.sinceMs >= this.#settleMs;
    this.#pending.set(name, { print, sinceMs: nowMs });
    return false;
  }

  async #read(file: FileSight): Promise<boolean> {
    const reading = await readManifestFile(file);
    const before = this.#files.get(file.name);
    if (reading.ok) {
      this.#files.set(file.name, { print: file.print, objects: reading.objects, wasWhole: true, mistakes: [] });
      return true;
    }
    // a right that is given back changes neither size nor time of the file: it is tried again each time
    const print = reading.isUnreadable ? unreadable : file.print;
    const { mistakes, text } = reading;
    this.#files.set(file.name, { print, objects: keepEarlier(reading, before), wasWhole: before?.wasWhole === true, mistakes, text });
    return before?.print !== unreadable || toText(before.mistakes) !== toText(mistakes);
  }

  #toContent(folders: readonly string[]): FolderContent {
    const files = [...this.#files].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, file]) => file);
    const { objects, mistakes } = toUnique(files.flatMap((file) => file.objects));
    const texts = files.map(({ text }) => text).filter((text) => text !== undefined);
    return {
      objects: objects.map(({ object }) => object),
      mistakes: [...folders, ...[...files.flatMap((file) => file.mistakes), ...mistakes].map(formatManifestMistake)],
      complete: folders.length === 0 && files.every((file) => file.wasWhole),
      mentions: (name) => texts.some((text) => holdsName(text, name)),
    };
  }
}

/** A file below a folder that cannot be looked at is not known to be gone. */
function isHidden(name: string, { unreadable }: FolderSight): boolean {
  return unreadable.some(
    (entry) => name === entry.name || (entry.name === '' || entry.name.endsWith('/') ? name.startsWith(entry.name) : false),
  );
}

/** Which of its documents are the bad ones' is not known by name, so everything that was there and is not now stays. */
function keepEarlier(reading: Extract<FileReading, { ok: false }>, before: KnownFile | undefined): readonly Manifest[] {
  const now = new Set(reading.objects.map(({ object }) => toObjectName(object)));
  return [...reading.objects, ...(before?.objects ?? []).filter(({ object }) => !now.has(toObjectName(object)))];
}

/** As a whole word: names are made of these characters. */
function holdsName(text: string, name: string): boolean {
  return text.split(/[^a-z0-9.-]+/).includes(name);
}

function toText(mistakes: readonly ManifestMistake[]): string {
  return mistakes.map(formatManifestMistake).join('\n');
}
