import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatNanoUsd, parseNanoUsd } from './money.ts';

describe('parseNanoUsd', () => {
  it.each([
    ['0', 0],
    ['1', 1_000_000_000],
    ['12.5', 12_500_000_000],
    ['0.1', 100_000_000],
    ['0.000001', 1_000],
    ['1000000', 1_000_000_000_000_000],
  ])('%s', (text, nanoUsd) => expect(parseNanoUsd(text)).toBe(nanoUsd));

  it.each(['', '-1', '1e3', '.5', '1.', '1.1234567890', '1,5', '$1', ' 1', '999999999'])('"%s" is none', (text) =>
    expect(parseNanoUsd(text)).toBeNaN(),
  );

  it('is exact to the last digit, where floating point would not be', () => {
    fc.assert(
      fc.property(fc.nat({ max: 1_000_000 }), fc.nat({ max: 999_999 }), (dollars, micros) => {
        const expected = BigInt(dollars) * 1_000_000_000n + BigInt(micros) * 1000n;
        expect(BigInt(parseNanoUsd(`${dollars}.${String(micros).padStart(6, '0')}`))).toBe(expected);
      }),
    );
  });
});

describe('formatNanoUsd', () => {
  it.each([
    [0, '0'],
    [1, '0.000000001'],
    [12_500_000_000, '12.5'],
    [1_000_000_000_000_000, '1000000'],
  ])('%s', (nanoUsd, text) => expect(formatNanoUsd(nanoUsd)).toBe(text));

  it('is read back as it was', () => {
    fc.assert(fc.property(fc.nat({ max: 10 ** 15 }), (nanoUsd) => parseNanoUsd(formatNanoUsd(nanoUsd)) === nanoUsd));
  });
});
