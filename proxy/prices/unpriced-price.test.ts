import { expect, it } from 'vitest';
import { parseUnpricedPrice } from './unpriced-price.ts';

it('reads units and dollars', () => {
  expect(parseUnpricedPrice(['input=5', 'output=25.5', 'request=0.001'])).toMatchObject({
    price: { rates: { input: { nanoUsd: 5e9 }, output: { nanoUsd: 25.5e9 }, request: { nanoUsd: 1e6 } } },
  });
});

it.each([
  [[], 'must price at least input and output'],
  [['input=5'], 'must price at least output'],
  [['input'], 'must hold UNIT=USD'],
  [['tokens=5'], 'not "tokens=5"'],
  [['__proto__=5'], 'not "__proto__=5"'],
  [['input=-5'], 'must hold dollars'],
  [['input=1e3'], 'must hold dollars'],
  [['input=5', 'input=6', 'output=1'], 'names input twice'],
])('%j is a mistake', (items, message) => expect(parseUnpricedPrice(items)).toMatchObject({ mistake: expect.stringContaining(message) }));
