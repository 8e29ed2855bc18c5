import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { untilHolds } from '../test/support/eventually.ts';
import { type FakeClock, makeFakeClock } from '../test/support/fake-clock.ts';
import { makeLog } from './log.ts';
import { noSealKeys } from './seal.ts';
import { followSealFile, openSealFile, type SealSource } from './seal-file.ts';

let directory: string;
let path: string;
let clock: FakeClock;
let logged: string[];
let source: SealSource | undefined;
const keys = Array.from({ length: 3 }, () => randomBytes(32).toString('base64'));

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keywright-seal-'));
  path = join(directory, 'keys');
  clock = makeFakeClock();
  logged = [];
});
afterEach(() => {
  source?.stop();
  rmSync(directory, { recursive: true });
});

function follow(): SealSource {
  const opened = openSealFile(path);
  if (!opened.ok) throw new Error(opened.mistakes.join('; '));
  const log = makeLog({ level: 'debug', name: 'test', destination: { write: (line: string) => void logged.push(line) } });
  source = followSealFile(opened.file, { clock, log });
  return source;
}

/** Until the file was looked at so often; each look is over when the next one waits. */
async function look(times = 1): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    clock.advance(5_000);
    await untilHolds(() => expect(clock.pending).toBe(1));
  }
}

describe('the seal key file', () => {
  it('is optional', () => {
    expect(openSealFile(undefined)).toEqual({ ok: true, file: undefined });
    expect(openSealFile(' ')).toEqual({ ok: true, file: undefined });
    expect(followSealFile(undefined, { clock, log: makeLog({ level: 'silent', name: 'test' }) }).keys).toBe(noSealKeys);
  });

  it('that cannot be read or is wrong is a mistake, told without its content', () => {
    expect(openSealFile(path)).toEqual({ ok: false, mistakes: ['KEYWRIGHT_SEAL_KEY_FILE names a file that cannot be read (ENOENT)'] });
    expect(openSealFile(directory)).toEqual({ ok: false, mistakes: ['KEYWRIGHT_SEAL_KEY_FILE names a file that cannot be read (EISDIR)'] });
    writeFileSync(path, `${keys[0]}x\nwrong`);
    const opened = openSealFile(path);
    expect(opened).toMatchObject({ ok: false });
    expect(opened.ok ? [] : opened.mistakes).toHaveLength(2);
    expect(JSON.stringify(opened)).not.toContain(keys[0]?.slice(0, 10));
    writeFileSync(path, 'x'.repeat(65_537));
    expect(openSealFile(path)).toEqual({ ok: false, mistakes: ['KEYWRIGHT_SEAL_KEY_FILE names a file that is too large for keys'] });
  });

  it('is read anew when it changes, and tells so once', async () => {
    writeFileSync(path, `${keys[0]}\n`);
    const followed = follow();
    const before = followed.keys.current;
    let changes = 0;
    followed.onChange(() => void (changes += 1));
    await look(2);
    expect(changes).toBe(0);
    writeFileSync(path, `${keys[1]}\n${keys[0]}\n`);
    await look(2);
    expect(changes).toBe(1);
    expect(followed.keys.current).not.toBe(before);
  });

  it('that becomes wrong or goes away leaves the keys in force, and says so once', async () => {
    writeFileSync(path, `${keys[0]}\n`);
    const followed = follow();
    const before = followed.keys.current;
    writeFileSync(path, 'wrong');
    await look(3);
    rmSync(path);
    await look(3);
    expect(followed.keys.current).toBe(before);
    expect(logged.filter((line) => line.includes('seal_keys_unusable'))).toHaveLength(2);
    writeFileSync(path, `${keys[2]}\n${keys[0]}\n`);
    await look();
    expect(followed.keys.current).not.toBe(before);
    for (const key of keys) expect(logged.join('')).not.toContain(key.slice(0, 10));
  });
});
