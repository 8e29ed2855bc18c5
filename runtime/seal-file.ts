import { readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Clock, Timer } from './clock.ts';
import { sha256Hex } from './digest.ts';
import { defineSettings } from './environment.ts';
import type { Log } from './log.ts';
import { noSealKeys, parseSealKeys, type SealKeys } from './seal.ts';

/** The keys as they are at the moment. */
export interface SealSource {
  readonly keys: SealKeys;
  /** calls `listener` when the keys have become others */
  onChange(listener: () => void): void;
  stop(): void;
}

export type OpenedSealFile =
  | { readonly ok: true; readonly file: SealFile | undefined }
  | { readonly ok: false; readonly mistakes: readonly string[] };

/** A key file that could be read. */
export interface SealFile {
  readonly path: string;
  readonly digest: string;
  readonly keys: SealKeys;
}

/** A mounted Secret changes on disk up to a minute after it was changed in the cluster; a look costs next to nothing. */
const lookEveryMs = 5_000;
const largestBytes = 64 * 1024;

export const sealSettings = defineSettings({
  sealKeyFile: {
    name: 'KEYWRIGHT_SEAL_KEY_FILE',
    kind: 'text',
    description:
      'file with the keys by which snapshot and hashed Secrets are sealed: one a line, the first seals, all open; absent means not sealed',
  },
});
const setting = sealSettings.sealKeyFile.name;

/** Reads the file that the setting names; mistakes begin with the setting's name and hold nothing of the file. Empty or undefined: no sealing. */
export function openSealFile(value: string | undefined): OpenedSealFile {
  const path = value?.trim() ?? '';
  if (path === '') return { ok: true, file: undefined };
  try {
    if (statSync(path).size > largestBytes) return { ok: false, mistakes: [`${setting} names a file that is too large for keys`] };
    return toSealFile(path, readFileSync(path, 'utf8'));
  } catch (error) {
    return { ok: false, mistakes: [`${setting} names a file that cannot be read (${toCode(error)})`] };
  }
}

/** Keys that never change. */
export function makeFixedSeal(keys: SealKeys = noSealKeys): SealSource {
  return { keys, onChange: () => undefined, stop: () => undefined };
}

/** The keys of a file, read anew when it changes. A file that has become unreadable or wrong changes nothing but the log. */
export function followSealFile(file: SealFile | undefined, options: { readonly clock: Clock; readonly log: Log }): SealSource {
  return file === undefined ? makeFixedSeal() : new FollowedSealFile(file, options);
}

class FollowedSealFile implements SealSource {
  readonly #options: { readonly clock: Clock; readonly log: Log };
  readonly #listeners = new Set<() => void>();
  #file: SealFile;
  /** of the last content that was looked at, good or bad, so that a bad one is told once */
  #seen: string;
  #timer: Timer;
  #stopped = false;

  constructor(file: SealFile, options: { readonly clock: Clock; readonly log: Log }) {
    this.#file = file;
    this.#seen = file.digest;
    this.#options = options;
    this.#timer = options.clock.after(lookEveryMs, () => void this.#look());
  }

  get keys(): SealKeys {
    return this.#file.keys;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer.cancel();
  }

  async #look(): Promise<void> {
    const { clock, log } = this.#options;
    const read = await readText(this.#file.path);
    if (this.#stopped) return;
    this.#timer = clock.after(lookEveryMs, () => void this.#look());
    const seen = 'text' in read ? sha256Hex(read.text) : read.mistake;
    if (seen === this.#seen) return;
    this.#seen = seen;
    const opened = 'text' in read ? toSealFile(this.#file.path, read.text) : { ok: false as const, mistakes: [read.mistake] };
    if (!opened.ok) {
      log.error(
        { event: 'seal_keys_unusable', mistakes: opened.mistakes },
        'the changed seal key file cannot be used; the keys of before stay in force',
      );
      return;
    }
    if (opened.file === undefined || opened.file.digest === this.#file.digest) return;
    this.#file = opened.file;
    log.info({ event: 'seal_keys', seal: this.#file.keys.current }, 'the seal keys have changed');
    for (const listener of this.#listeners) listener();
  }
}

async function readText(path: string): Promise<{ readonly text: string } | { readonly mistake: string }> {
  try {
    return { text: await readFile(path, 'utf8') };
  } catch (error) {
    return { mistake: `${setting} names a file that cannot be read (${toCode(error)})` };
  }
}

function toSealFile(path: string, text: string): OpenedSealFile {
  const parsed = parseSealKeys(text);
  if (!parsed.ok) return { ok: false, mistakes: parsed.mistakes.map((mistake) => `${setting}: ${mistake}`) };
  return { ok: true, file: { path, digest: sha256Hex(text), keys: parsed.keys } };
}

function toCode(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'unknown error';
}
