import { describe, expect, it } from 'vitest';
import { mostInAnySpan, utilisationOf } from './spans.ts';

const at = (...times: number[]) => times.map((atMs) => ({ atMs, amount: 1 }));

describe('mostInAnySpan', () => {
  it('looks at every span, not only at those that begin at a round moment', () => {
    expect(mostInAnySpan(at(59_000, 59_500, 61_000, 120_000), 60_000)).toBe(3);
    expect(mostInAnySpan([], 60_000)).toBe(0);
  });

  it('counts two charges exactly a span apart together, and a millisecond more not', () => {
    expect(mostInAnySpan(at(0, 60_000), 60_000)).toBe(2);
    expect(mostInAnySpan(at(0, 60_001), 60_000)).toBe(1);
  });

  it('adds amounts, in any order of arrival', () => {
    const charges = [
      { atMs: 90_000, amount: 7 },
      { atMs: 10_000, amount: 5 },
      { atMs: 20_000, amount: 3 },
    ];
    expect(mostInAnySpan(charges, 60_000)).toBe(8);
  });
});

describe('utilisationOf', () => {
  it('leaves out the first span and the last that is not whole', () => {
    const charges = at(1_000, 1_001, 1_002, 61_000, 62_000, 121_000, 182_000);
    expect(utilisationOf(charges, { limit: 2, spanMs: 60_000, untilMs: 185_000 })).toEqual({ spans: 2, ratio: 0.75 });
    expect(utilisationOf(charges, { limit: 2, spanMs: 60_000, untilMs: 100_000 })).toEqual({ spans: 0, ratio: 0 });
  });
});
