import { expect, test } from 'vitest';
import { hmacHex, sha256Hex } from './digest.ts';

test('sha256Hex gives the value of FIPS 180-2, for text and for the same bytes', () => {
  const expected = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  expect(sha256Hex('abc')).toBe(expected);
  expect(sha256Hex(new TextEncoder().encode('abc'))).toBe(expected);
});

test('hmacHex gives test case 2 of RFC 4231', () => {
  expect(hmacHex('Jefe', 'what do ya want for nothing?')).toBe('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
});
