import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultKeyPrefix, isWeakKey, makeVirtualKey, parseVirtualKey, toDisplayPrefix, virtualKeyPattern } from './virtual-key.ts';

const prefixes = fc.stringMatching(/^[a-z0-9]{1,6}([_-][a-z0-9]{1,6}){0,2}[_-]$/);
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'.split('');

/** A small generator (mulberry32), so that a failing key can be made again from its seed. */
function seeded(seed: number): (bytes: number) => Uint8Array {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) & 0xff;
  };
  return (bytes) => Uint8Array.from({ length: bytes }, next);
}

const keys = fc.tuple(prefixes, fc.integer()).map(([prefix, seed]) => ({ prefix, text: makeVirtualKey(prefix, seeded(seed)).reveal() }));

describe('the format of a key', () => {
  it('is prefix, 10 characters, a dash, 43 characters and a checksum of 6', () => {
    const text = makeVirtualKey(defaultKeyPrefix, seeded(1)).reveal();
    expect(text).toMatch(/^sk-kw-[0-9A-Za-z]{10}-[0-9A-Za-z]{49}$/);
    expect(text).toMatch(virtualKeyPattern);
  });

  it('stays what it is: the checksum of a known body is CRC-32 in base62', () => {
    // Bytes 0, 1, 2 … give 0123456789 and then the alphabet from its start again.
    const text = makeVirtualKey('sk-kw-', (bytes) => Uint8Array.from({ length: bytes }, (_, index) => index)).reveal();
    const body = 'sk-kw-0123456789-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg';
    expect(text.slice(0, -6)).toBe(body);
    const checksum = text.slice(-6).split('');
    expect(checksum.reduce((sum, character) => sum * 62 + alphabet.indexOf(character), 0)).toBe(referenceCrc32(body));
  });

  it('is read back by parse', () => {
    fc.assert(
      fc.property(keys, ({ prefix, text }) => {
        const id = text.slice(prefix.length, prefix.length + 10);
        expect(parseVirtualKey(text)).toEqual({ prefix, id, displayPrefix: `${prefix}${id.slice(0, 4)}…` });
      }),
    );
  });

  it('shows every typo of one character, and every loss and doubling of one', () => {
    fc.assert(
      fc.property(keys, fc.nat(), fc.constantFrom(...alphabet, '-', '_', 'é'), ({ text }, position, character) => {
        const at = position % text.length;
        fc.pre(text[at] !== character);
        expect(parseVirtualKey(text.slice(0, at) + character + text.slice(at + 1))).toBeUndefined();
        expect(parseVirtualKey(text.slice(0, at) + text.slice(at + 1))).toBeUndefined();
        expect(parseVirtualKey(text.slice(0, at) + text.charAt(at) + text.slice(at))).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });

  it.each(['', 'sk-kw-', 'sk-proj-abc', `${'a-'.repeat(40)}0123456789-${'0'.repeat(49)}`, 'x'.repeat(10_000)])(
    'does not take %s for one',
    (text) => {
      expect(parseVirtualKey(text)).toBeUndefined();
      expect(toDisplayPrefix(text)).toBe('');
    },
  );

  it('throws away bytes that would make some characters more likely', () => {
    let given = 0;
    const text = makeVirtualKey('k-', (wanted) => Uint8Array.from({ length: wanted }, () => 255 - (given++ % 9))).reveal();
    expect(text.slice(2, 12)).toBe('zzzzzzzzzz');
  });

  it('shows no more than four characters of what is random', () => {
    fc.assert(
      fc.property(keys, ({ prefix, text }) => {
        expect(toDisplayPrefix(text)).toBe(`${text.slice(0, prefix.length + 4)}…`);
      }),
    );
  });
});

describe('isWeakKey', () => {
  it.each([
    ['0123456789abcdef0123456789abcde', true],
    ['0123456789abcdef0123456789abcdef', false],
    ['abcdefghijk'.repeat(4), true],
    ['abcdefghijkl'.repeat(4), false],
  ])('%s: %s', (text, weak) => expect(isWeakKey(text)).toBe(weak));
});

function referenceCrc32(text: string): number {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let entry = byte;
    for (let bit = 0; bit < 8; bit += 1) entry = entry & 1 ? (entry >>> 1) ^ 0xedb88320 : entry >>> 1;
    return entry;
  });
  let crc = ~0;
  for (const character of text) crc = (table[(crc ^ character.charCodeAt(0)) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}
