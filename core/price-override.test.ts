import { describe, expect, it } from 'vitest';
import { costOf, type Price } from './price.ts';
import { fillPrice, overridePrice } from './price-override.ts';
import { emptyUsage } from './usage.ts';

const builtIn: Price = {
  rates: {
    input: { nanoUsd: 3e9, steps: [{ aboveInputTokens: 200_000, nanoUsd: 6e9 }] },
    cachedInput: { nanoUsd: 0.3e9, steps: [{ aboveInputTokens: 200_000, nanoUsd: 0.6e9 }] },
    cacheWrite: { nanoUsd: 3.75e9 },
    output: { nanoUsd: 15e9 },
    webSearch: { nanoUsd: 1e7 },
  },
  serviceTiers: { priority: 2000 },
  unaskedThousandths: 1000,
};

describe('overridePrice', () => {
  it('is the built-in price where the Channel says nothing', () => {
    for (const channel of [undefined, {}]) expect(overridePrice(builtIn, channel)).toBe(builtIn);
    expect(overridePrice(undefined, undefined)).toBeUndefined();
    expect(overridePrice(undefined, {})).toBeUndefined();
  });

  it('is the Channel where nothing is built in', () => {
    expect(overridePrice(undefined, { input: 5, request: 7, serviceTiers: { flex: 500, priority: 1750 } })).toEqual({
      rates: { input: { nanoUsd: 5 }, request: { nanoUsd: 7 } },
      serviceTiers: { flex: 500, priority: 1750 },
      unaskedThousandths: 1750,
    });
  });

  it('takes each unit from the Channel, and the kinds of it in proportion', () => {
    expect(overridePrice(builtIn, { input: 1.5e9 })?.rates).toEqual({
      input: { nanoUsd: 1.5e9 },
      cachedInput: { nanoUsd: 0.15e9 },
      cacheWrite: { nanoUsd: 1.875e9 },
      output: { nanoUsd: 15e9 },
      webSearch: { nanoUsd: 1e7 },
    });
    expect(overridePrice(builtIn, { input: 1.5e9, cachedInput: 1 })?.rates.cachedInput).toEqual({ nanoUsd: 1 });
    expect(overridePrice(builtIn, { cachedInput: 1 })?.rates.input).toEqual(builtIn.rates.input);
  });

  it('makes all input free where the Channel says so', () => {
    const price = overridePrice(builtIn, { input: 0, output: 0 });
    const usage = { ...emptyUsage, inputTokens: 300_000, cachedInputTokens: 1000, cacheWriteTokens: 1000, outputTokens: 10 };
    expect(price && costOf(price, usage)).toEqual({ nanoUsd: 0, unpriced: [] });
  });

  it('expects the dearest tier that the Channel lists, whoever asks for what', () => {
    expect(overridePrice(builtIn, { serviceTiers: { flex: 500 } })).toMatchObject({
      serviceTiers: { flex: 500, priority: 2000 },
      unaskedThousandths: 1000,
    });
    expect(overridePrice(builtIn, { serviceTiers: { priority: 1750 } })).toMatchObject({
      serviceTiers: { priority: 1750 },
      unaskedThousandths: 1750,
    });
  });
});

it('fillPrice fills only what has no price: cached input has that of input, audio has not', () => {
  const fallback: Price = {
    rates: { input: { nanoUsd: 1 }, cacheWrite1h: { nanoUsd: 2 }, audioOutput: { nanoUsd: 3 }, image: { nanoUsd: 4 } },
    serviceTiers: {},
    unaskedThousandths: 1000,
  };
  expect(fillPrice(undefined, fallback)).toBe(fallback);
  expect(fillPrice(builtIn, fallback)).toEqual({
    ...builtIn,
    rates: { ...builtIn.rates, audioOutput: { nanoUsd: 3 }, image: { nanoUsd: 4 } },
  });
});
