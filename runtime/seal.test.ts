import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { noSealKeys, parseSealKeys, plainSeal, type SealKeys, sealOf, type SealPlace } from './seal.ts';

const first = randomBytes(32).toString('base64');
const second = randomBytes(32).toString('base64url');
const place: SealPlace = { type: 'keywright.dev/snapshot', namespace: 'snapshot', name: 'index', entry: 'document' };
const text = Buffer.from('the content of a document');

function keysOf(...lines: string[]): SealKeys {
  const parsed = parseSealKeys(lines.join('\n'));
  if (!parsed.ok) throw new Error(parsed.mistakes.join('; '));
  return parsed.keys;
}

describe('a sealed value', () => {
  it('opens with its key at its place, and shows nothing of its content', () => {
    const keys = keysOf(first);
    const sealed = keys.seal(text, place);
    expect(keys.open(sealed, place)).toEqual({ ok: true, bytes: text });
    expect(Buffer.from(sealed).includes('content')).toBe(false);
    expect(sealOf(sealed)).toBe(keys.current);
  });

  it('is another one each time, so that equal contents cannot be told', () => {
    const keys = keysOf(first);
    expect(Buffer.from(keys.seal(text, place)).equals(keys.seal(text, place))).toBe(false);
  });

  it.each(['type', 'namespace', 'name', 'entry'] as const)('is damaged under another %s', (part) => {
    const keys = keysOf(first);
    expect(keys.open(keys.seal(text, place), { ...place, [part]: 'another' })).toMatchObject({ ok: false, reason: 'damaged' });
  });

  it('is damaged when any byte of nonce, text or tag was changed, or it was cut', () => {
    const keys = keysOf(first);
    const sealed = keys.seal(text, place);
    for (let at = 12; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(keys.open(changed, place)).toMatchObject({ ok: false, reason: 'damaged' });
      expect(keys.open(sealed.subarray(0, at), place)).toMatchObject({ ok: false, reason: 'damaged' });
    }
  });

  it('is locked, not damaged, without its key', () => {
    const sealed = keysOf(first).seal(text, place);
    expect(keysOf(second).open(sealed, place)).toEqual({
      ok: false,
      reason: 'locked',
      message: `it is sealed with key ${sealOf(sealed)}, which is not in KEYWRIGHT_SEAL_KEY_FILE`,
    });
    expect(noSealKeys.open(sealed, place)).toMatchObject({ ok: false, reason: 'locked', message: expect.stringMatching(/is not set/) });
  });
});

describe('the entries of a key file', () => {
  it('all open, and the first one seals', () => {
    const before = keysOf(first);
    const after = keysOf(second, first);
    expect(after.open(before.seal(text, place), place)).toEqual({ ok: true, bytes: text });
    expect(before.open(after.seal(text, place), place)).toMatchObject({ ok: false, reason: 'locked' });
    expect(after.current).toBe(keysOf(second).current);
  });

  it('let unsealed values be read and written only where the word plain says so', () => {
    expect(keysOf(first).open(text, place)).toMatchObject({
      ok: false,
      reason: 'locked',
      message: expect.stringMatching(/no line "plain"/),
    });
    expect(keysOf(first, 'plain').open(text, place)).toEqual({ ok: true, bytes: text });
    const plainFirst = keysOf('plain', first);
    expect(plainFirst.current).toBe(plainSeal);
    expect(plainFirst.seal(text, place)).toBe(text);
    expect(plainFirst.open(keysOf(first).seal(text, place), place)).toEqual({ ok: true, bytes: text });
    expect(noSealKeys.open(text, place)).toEqual({ ok: true, bytes: text });
  });

  it('may have comments, empty lines and Windows line ends between them', () => {
    expect(keysOf('# made in May\r', '', `${first}\r`, '').current).toBe(keysOf(first).current);
  });

  it('are checked one by one, and no mistake repeats any of them', () => {
    const short = randomBytes(16).toString('base64');
    const parsed = parseSealKeys([short, 'not base64!', Buffer.alloc(32).toString('base64'), first, first].join('\n'));
    expect(parsed).toEqual({
      ok: false,
      mistakes: [
        'line 1 must be 32 bytes in base64, and is 16',
        'line 2 is neither base64 nor the word plain',
        'line 3 is no random key',
        'the same entry stands twice',
      ],
    });
    expect(parseSealKeys('# nothing\nplain\n')).toEqual({ ok: false, mistakes: ['there is no key in it'] });
    expect(parseSealKeys('')).toEqual({ ok: false, mistakes: ['there is no key in it'] });
    const many = Array.from({ length: 17 }, () => randomBytes(32).toString('base64')).join('\n');
    expect(parseSealKeys(many)).toEqual({ ok: false, mistakes: ['more than 16 entries'] });
  });

  it('cannot be printed', () => {
    const keys = keysOf(first);
    expect(inspect(keys, { depth: 9, showHidden: true }) + JSON.stringify(keys)).not.toContain(first.slice(0, 12));
    expect(Buffer.from(first, 'base64').toString('hex')).not.toContain(keys.current);
  });
});
