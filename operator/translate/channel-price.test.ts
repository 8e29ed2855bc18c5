import fc from 'fast-check';
import { expect, it } from 'vitest';
import { toChannelPrice } from './channel-price.ts';

it('every price and multiplier that the schema takes becomes an exact integer', () => {
  const usd = fc.stringMatching(/^[0-9]{1,6}(\.[0-9]{1,8})?$/);
  const multiplier = fc.stringMatching(/^[0-9]{1,3}(\.[0-9]{1,3})?$/);
  fc.assert(
    fc.property(usd, multiplier, (input, flex) => {
      const price = toChannelPrice({ input, serviceTiers: { flex } });
      expect(BigInt(price.input ?? -1)).toBe(scaled(input, 9));
      expect(BigInt(price.serviceTiers?.['flex'] ?? -1)).toBe(scaled(flex, 3));
    }),
  );
});

it('what is not said stays away, and 0 is said', () => {
  expect(toChannelPrice({ input: '0', output: '2.5' })).toEqual({ input: 0, output: 2_500_000_000 });
  expect(toChannelPrice({})).toEqual({});
});

/** The decimal without its point, at so many digits. */
function scaled(text: string, digits: number): bigint {
  const [whole = '', fraction = ''] = text.split('.');
  return BigInt(whole + fraction.padEnd(digits, '0'));
}
