import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDurationMs } from './duration.ts';

describe('parseDurationMs', () => {
  it.each([
    ['0s', 0],
    ['500ms', 500],
    ['1h30m', 5_400_000],
    ['24h', 86_400_000],
    ['1m1ms', 60_001],
    ['99999h', 359_996_400_000],
  ])('%s', (text, ms) => expect(parseDurationMs(text)).toBe(ms));

  it.each(['', '5', 'h', '1d', '-1s', '1.5s', ' 1s', '1s ', '100000s', '1h1m1s1ms1h', '1H'])('"%s" is none', (text) => {
    expect(parseDurationMs(text)).toBeNaN();
  });

  it('adds up its parts', () => {
    const parts = fc.array(fc.tuple(fc.nat({ max: 99_999 }), fc.constantFrom('h', 'm', 's', 'ms')), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(parts, (list) => {
        const texts = list.map(([count, unit]) => `${count}${unit}`);
        expect(parseDurationMs(texts.join(''))).toBe(texts.reduce((sum, text) => sum + parseDurationMs(text), 0));
      }),
    );
  });
});
