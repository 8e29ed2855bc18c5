import fc from 'fast-check';
import { expect, it } from 'vitest';
import { makeLineSplitter } from './line-splitter.ts';

it('gives the same lines wherever the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => `x${text.replaceAll(/[\n\r]/g, '')}`)),
      fc.array(fc.nat(40)),
      (lines, cuts) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const splitter = makeLineSplitter();
        const got: string[] = [];
        let start = 0;
        for (const length of [...cuts, bytes.length]) {
          got.push(...splitter.push(bytes.subarray(start, start + length)));
          start += length;
        }
        expect(got).toEqual(lines);
        expect(splitter.pendingBytes).toBe(0);
      },
    ),
  );
});

it('keeps a line that has no end yet, and leaves empty ones out', () => {
  const splitter = makeLineSplitter();
  expect(splitter.push(Buffer.from('\n\r\n{"a":'))).toEqual([]);
  expect(splitter.pendingBytes).toBe(5);
  expect(splitter.push(Buffer.from('1}\n'))).toEqual(['{"a":1}']);
});
