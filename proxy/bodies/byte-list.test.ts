import fc from 'fast-check';
import { expect, it } from 'vitest';
import { makeByteList } from './byte-list.ts';

const smallBytes = fc.uint8Array({ maxLength: 12, max: 2 });
const pieces = fc.array(smallBytes, { maxLength: 12 });

it('says of pieces what one Buffer says of the whole', () => {
  fc.assert(
    fc.property(pieces, smallBytes, fc.nat(100), fc.nat(100), (given, needle, one, other) => {
      const whole = Buffer.concat(given);
      const list = makeByteList(given.map((piece) => Buffer.from(piece)));
      const [from, to] = [Math.min(one, other), Math.max(one, other)];
      expect(list.length).toBe(whole.length);
      expect(list.read(from, to)).toEqual(whole.subarray(from, to));
      expect(Buffer.concat(list.cut(from, to))).toEqual(whole.subarray(from, to));
      if (needle.length > 0) expect(list.indexOf(Buffer.from(needle), from)).toBe(whole.indexOf(needle, from));
    }),
    { numRuns: 2000 },
  );
});

it('copies nothing where the bytes lie in one piece', () => {
  const piece = Buffer.from('0123456789');
  const list = makeByteList([Buffer.from('ab'), Buffer.alloc(0), piece]);
  expect(list.read(3, 7).buffer).toBe(piece.buffer);
  expect(list.cut(1, 4).map(String)).toEqual(['b', '01']);
  expect(list.cut(0, 12).map((view) => view.buffer)).toContain(piece.buffer);
  expect(list.cut(12, 20)).toEqual([]);
});

it('joins the pieces, and gives back what that took and nothing else', () => {
  fc.assert(
    fc.property(pieces, (given) => {
      const list = makeByteList(given.map((piece) => Buffer.from(piece)));
      const { bytes, drop } = list.join();
      const whole = Buffer.concat(given);
      expect(bytes).toEqual(whole);
      drop();
      // pieces that small lie in the block out of which the next Buffers are cut, too
      expect(list.read(0, list.length)).toEqual(whole);
      expect(Buffer.from('next').toString()).toBe('next');
      expect(list.pieces.length === 1 || bytes.length === 0).toBe(true);
    }),
  );
});
