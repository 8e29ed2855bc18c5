import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Edit, plant } from './plant.ts';

export interface Copy {
  readonly directory: string;
  /** Plants all edits, or none: then says why. */
  plant(edits: readonly Edit[]): string | undefined;
  /** Takes them out again. */
  restore(edits: readonly Edit[]): void;
  remove(): void;
}

/** Caches of the test runner stay out: the work tree's must not know mutated modules. */
const caches = new Set(['.vite', '.vite-temp', '.vitest-cache', '.cache']);

/** A copy of the work tree in a temporary directory: what git tracks or would track, as it is at this moment, with links to the installed packages. */
export function makeCopy(root: string): Copy {
  const directory = mkdtempSync(join(tmpdir(), 'keywright-mutations-'));
  for (const file of listFiles(root)) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    copyFileSync(join(root, file), join(directory, file));
  }
  mkdirSync(join(directory, 'node_modules'));
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!caches.has(name)) symlinkSync(join(root, 'node_modules', name), join(directory, 'node_modules', name));
  }
  const originals = new Map<string, string>();

  return {
    directory,
    plant(edits) {
      const texts = new Map<string, string>();
      for (const edit of edits) {
        const path = join(directory, edit.file);
        if (!existsSync(path)) return `${edit.file} does not exist`;
        const before = texts.get(edit.file) ?? readFileSync(path, 'utf8');
        if (!texts.has(edit.file)) originals.set(edit.file, before);
        const planted = plant(before, edit);
        if (!planted.ok) return planted.message;
        texts.set(edit.file, planted.text);
      }
      for (const [file, text] of texts) writeFileSync(join(directory, file), text);
      return undefined;
    },
    restore(edits) {
      for (const { file } of edits) {
        const original = originals.get(file);
        if (original !== undefined) writeFileSync(join(directory, file), original);
      }
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function listFiles(root: string): string[] {
  const { status, stdout, stderr } = spawnSync('git', ['ls-files', '-coz', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`git ls-files: ${stderr}`);
  // a file that was removed and not yet committed is listed still; node_modules may be a link, which the rules of .gitignore do not know
  return stdout.split('\0').filter((file) => file !== '' && statSync(join(root, file), { throwIfNoEntry: false })?.isFile() === true);
}
