import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  boundOf,
  type CostShape,
  costOf,
  findUnpriced,
  floorOf,
  maximumNanoUsd,
  type Price,
  type PricedUnit,
  type Rate,
  toMostInput,
} from './price.ts';
import { emptyUsage, type Usage } from './usage.ts';

const million = 1_000_000n;

function priceOf(rates: Partial<Record<PricedUnit, number | Rate>>, serviceTiers: Price['serviceTiers'] = {}): Price {
  return {
    rates: Object.fromEntries(Object.entries(rates).map(([unit, rate]) => [unit, typeof rate === 'number' ? { nanoUsd: rate } : rate])),
    serviceTiers,
    unaskedThousandths: Math.max(1000, ...Object.values(serviceTiers)),
  };
}

/** 3 and 15 dollars per million, cache as Anthropic has it */
const sonnet = priceOf({ input: 3e9, cachedInput: 0.3e9, cacheWrite: 3.75e9, cacheWrite1h: 6e9, output: 15e9 });
const usage: Usage = { ...emptyUsage, inputTokens: 1000, outputTokens: 100 };

describe('costOf', () => {
  it('goes by the longest input where the model was asked several times, not by their sum', () => {
    const input = { nanoUsd: 3e9, steps: [{ aboveInputTokens: 200_000, nanoUsd: 6e9 }] };
    const price = priceOf({ input, output: 15e9 });
    const both = { ...emptyUsage, inputTokens: 250_000 };
    expect(costOf(price, both).nanoUsd).toBe(1_500_000_000);
    expect(costOf(price, { ...both, longestInputTokens: 180_000 }).nanoUsd).toBe(750_000_000);
    expect(costOf(price, { ...both, longestInputTokens: 210_000 }).nanoUsd).toBe(1_500_000_000);
  });

  it.each<[string, Price, Partial<Usage> & { tiers?: readonly string[] }, number]>([
    ['input and output', sonnet, {}, 3_000_000 + 1_500_000],
    ['nothing', sonnet, { inputTokens: 0, outputTokens: 0 }, 0],
    ['cached input at its own rate, once', sonnet, { cachedInputTokens: 800 }, 600_000 + 240_000 + 1_500_000],
    ['cache writes at theirs', sonnet, { cacheWriteTokens: 400 }, 1_800_000 + 1_500_000 + 1_500_000],
    [
      'writes for an hour at theirs',
      sonnet,
      { cacheWriteTokens: 400, cacheWrite1hTokens: 300 },
      1_800_000 + 375_000 + 1_800_000 + 1_500_000,
    ],
    ['reasoning as output, once', sonnet, { reasoningTokens: 90 }, 4_500_000],
    [
      'cached input as input where it has no rate',
      priceOf({ input: 3e9, output: 15e9 }),
      { cachedInputTokens: 800, cacheWriteTokens: 100 },
      4_500_000,
    ],
    [
      'writes for an hour as writes where they have no rate',
      priceOf({ input: 3e9, cacheWrite: 4e9, output: 15e9 }),
      { cacheWriteTokens: 1000, cacheWrite1hTokens: 1000 },
      5_500_000,
    ],
    [
      'audio at its own rates',
      priceOf({ input: 3e9, output: 15e9, audioInput: 40e9, audioOutput: 80e9 }),
      { audioInputTokens: 500, audioOutputTokens: 50 },
      1_500_000 + 20_000_000 + 750_000 + 4_000_000,
    ],
    [
      'images of an answer at their own rate',
      priceOf({ input: 3e9, output: 15e9, imageOutput: 30e9 }),
      { imageOutputTokens: 60 },
      3_000_000 + 60 * 30_000 + 40 * 15_000,
    ],
    ['images of an answer as output where they have no rate', priceOf({ input: 3e9, output: 15e9 }), { imageOutputTokens: 60 }, 4_500_000],
    ['a fee for the request', priceOf({ input: 3e9, output: 15e9, request: 5e6 }), {}, 9_500_000],
    ['searches', priceOf({ input: 3e9, output: 15e9, webSearch: 1e7 }), { webSearches: 3 }, 34_500_000],
    [
      'images, seconds, characters',
      priceOf({ image: 4e7, second: 1e5, character: 15e9 }),
      { inputTokens: 0, outputTokens: 0, images: 2, audioMilliseconds: 1500, characters: 1000 },
      80_000_000 + 150_000 + 15_000_000,
    ],
    [
      'a service tier',
      priceOf({ input: 3e9, output: 15e9, request: 5e6 }, { priority: 2000, flex: 500 }),
      { tiers: ['priority'] },
      14_000_000,
    ],
    ['a cheaper one', priceOf({ input: 3e9, output: 15e9 }, { flex: 500 }), { tiers: ['flex'] }, 2_250_000],
    ['two modes at once', priceOf({ input: 3e9, output: 15e9 }, { fast: 6000, us: 1100 }), { tiers: ['fast', 'us'] }, 29_700_000],
    ['no tier of that name', priceOf({ input: 3e9, output: 15e9 }, { priority: 2000 }), { tiers: ['default', 'toString'] }, 4_500_000],
    ['a part of a nano-dollar as a whole one', priceOf({ input: 1, output: 1 }), { inputTokens: 1, outputTokens: 0 }, 1],
    ['halves of two kinds once', priceOf({ input: 500_000, output: 500_000 }), { inputTokens: 1, outputTokens: 1 }, 1],
  ])('%s', (_what, price, { tiers, ...part }, nanoUsd) =>
    expect(costOf(price, { ...usage, ...part }, tiers)).toEqual({ nanoUsd, unpriced: [] }),
  );

  it('takes the step of its input for all tokens', () => {
    const price = priceOf({
      input: { nanoUsd: 2e9, steps: [{ aboveInputTokens: 200_000, nanoUsd: 4e9 }] },
      output: { nanoUsd: 10e9, steps: [{ aboveInputTokens: 200_000, nanoUsd: 15e9 }] },
    });
    expect(costOf(price, { ...usage, inputTokens: 200_000 }).nanoUsd).toBe(400_000_000 + 1_000_000);
    expect(costOf(price, { ...usage, inputTokens: 200_001 }).nanoUsd).toBe(800_004_000 + 1_500_000);
  });

  it('names what has no price: audio counts as text, the rest as nothing', () => {
    const price = priceOf({ input: 3e9, output: 15e9 });
    const cost = costOf(price, {
      ...usage,
      audioInputTokens: 10,
      audioOutputTokens: 10,
      images: 1,
      webSearches: 1,
      audioMilliseconds: 1,
      characters: 1,
    });
    expect(cost.nanoUsd).toBe(4_500_000);
    expect(cost.unpriced.toSorted()).toEqual(['audioInput', 'audioOutput', 'character', 'image', 'second', 'webSearch']);
    expect(costOf(priceOf({ input: 3e9 }), usage).unpriced).toEqual(['output']);
  });

  it('never counts a token twice, whatever an upstream says of its parts', () => {
    const absurd = { cachedInputTokens: 5000, cacheWriteTokens: 5000, cacheWrite1hTokens: 9000, audioOutputTokens: 5000 };
    expect(costOf(sonnet, { ...usage, ...absurd }).nanoUsd).toBe(300_000 + 1_500_000);
  });

  it('is exact up to a million dollars and never more', () => {
    expect(costOf(priceOf({ input: 999_999_999_999_999 }), { ...emptyUsage, inputTokens: 1_000_000 }).nanoUsd).toBe(999_999_999_999_999);
    expect(costOf(priceOf({ input: 999_999_999_999_999 }), { ...emptyUsage, inputTokens: 1_000_000_000_000 }).nanoUsd).toBe(maximumNanoUsd);
  });
});

const tokenUnits = ['input', 'cachedInput', 'cacheWrite', 'cacheWrite1h', 'output', 'audioInput', 'audioOutput'] as const;
type Parts = Record<(typeof tokenUnits)[number], number>;

const rates = fc
  .record({
    nanoUsd: fc.nat({ max: 10 ** 12 }),
    rises: fc.array(fc.record({ wider: fc.integer({ min: 1, max: 10 ** 6 }), dearer: fc.nat({ max: 10 ** 12 }) }), { maxLength: 3 }),
  })
  .map(({ nanoUsd, rises }): Rate => {
    let step = { aboveInputTokens: 0, nanoUsd };
    const steps = rises.map(({ wider, dearer }) => {
      step = { aboveInputTokens: step.aboveInputTokens + wider, nanoUsd: step.nanoUsd + dearer };
      return step;
    });
    return { nanoUsd, steps };
  });
const tierNames = ['priority', 'flex', 'fast'];
const prices = fc
  .record({
    rates: fc.record(Object.fromEntries([...tokenUnits, 'request', 'webSearch'].map((unit) => [unit, rates]))),
    tiers: fc.dictionary(fc.constantFrom(...tierNames), fc.integer({ min: 1, max: 999_999 })),
  })
  .map(({ rates, tiers }): Price => ({ rates, serviceTiers: tiers, unaskedThousandths: Math.max(1000, ...Object.values(tiers)) }));
const counts = (max: number): fc.Arbitrary<Parts> =>
  fc.record({
    input: fc.nat({ max }),
    cachedInput: fc.nat({ max }),
    cacheWrite: fc.nat({ max }),
    cacheWrite1h: fc.nat({ max }),
    output: fc.nat({ max }),
    audioInput: fc.nat({ max }),
    audioOutput: fc.nat({ max }),
  });

function toUsage(parts: Parts, webSearches = 0): Usage {
  return {
    inputTokens: parts.input + parts.cachedInput + parts.cacheWrite + parts.cacheWrite1h + parts.audioInput,
    cachedInputTokens: parts.cachedInput,
    cacheWriteTokens: parts.cacheWrite + parts.cacheWrite1h,
    cacheWrite1hTokens: parts.cacheWrite1h,
    audioInputTokens: parts.audioInput,
    outputTokens: parts.output + parts.audioOutput,
    audioOutputTokens: parts.audioOutput,
    reasoningTokens: 0,
    webSearches,
  };
}

describe('against rationals', () => {
  it('a cost is the ceiling of the exact one, up to a million million tokens', () => {
    fc.assert(
      fc.property(prices, fc.oneof(counts(1000), counts(10 ** 12)), fc.constantFrom('priority', 'standard'), (price, parts, tier) => {
        const usage = toUsage(parts, 2);
        const exactMillionths = tokenUnits.reduce(
          (sum, unit) => sum + BigInt(parts[unit]) * BigInt(stepOf(price.rates[unit], usage.inputTokens)),
          0n,
        );
        const fees = BigInt((price.rates.request?.nanoUsd ?? 0) + 2 * (price.rates.webSearch?.nanoUsd ?? 0)) * million * 1000n;
        const exact = exactMillionths * BigInt(price.serviceTiers[tier] ?? 1000) + fees;
        const cost = costOf(price, usage, [tier]).nanoUsd;
        if (cost === maximumNanoUsd) return exact > BigInt(maximumNanoUsd - 1) * million * 1000n;
        return BigInt(cost) * million * 1000n >= exact && (BigInt(cost) - 1n) * million * 1000n < exact;
      }),
    );
  });

  it('one token more of any kind never costs less', () => {
    fc.assert(
      fc.property(prices, counts(10 ** 6), fc.constantFrom(...tokenUnits), fc.nat({ max: 10 ** 6 }), (price, parts, unit, more) => {
        const before = costOf(price, toUsage(parts)).nanoUsd;
        return costOf(price, toUsage({ ...parts, [unit]: parts[unit] + more })).nanoUsd >= before;
      }),
    );
  });

  it('a bound holds for every usage that the request allows, whatever its tier', () => {
    const shapes = fc.record({
      promptBytes: fc.nat({ max: 10 ** 6 }),
      mediaTokens: fc.option(fc.nat({ max: 10 ** 5 }), { nil: undefined }),
      hasTools: fc.boolean(),
      maxOutputTokens: fc.nat({ max: 10 ** 6 }),
      choices: fc.integer({ min: 1, max: 8 }),
      units: fc.subarray<PricedUnit>(['audioInput', 'audioOutput']),
      serviceTier: fc.constantFrom(undefined, 'auto', 'default', 'priority', 'flex'),
      modes: fc.subarray(['fast']),
      webSearches: fc.nat({ max: 10 }),
    });
    fc.assert(
      fc.property(
        prices,
        shapes,
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 7, maxLength: 7 }),
        fc.nat({ max: 9 }),
        (price, shape, shares, pick) => {
          const parts = shareOut(shape, shares);
          // an account of its own choice may be on any tier; one that was named is given or the usual one is
          const isOwn = shape.serviceTier !== undefined && shape.serviceTier !== 'auto';
          const given = isOwn
            ? [shape.serviceTier, 'default']
            : [...Object.keys(price.serviceTiers).filter((tier) => tier !== 'fast'), 'default'];
          const tiers = [given[pick % given.length] ?? 'default', ...shape.modes];
          const cost = costOf(price, toUsage(parts, shape.webSearches), tiers).nanoUsd;
          expect(boundOf(price, shape)).toBeGreaterThanOrEqual(cost);
          expect(boundOf(price, shape)).toBeGreaterThanOrEqual(floorOf(price, Math.ceil(shape.promptBytes / 4)));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('a bound grows with everything that a request asks for', () => {
    const base: CostShape = { promptBytes: 100, maxOutputTokens: 100 };
    for (const more of [
      { promptBytes: 101 },
      { mediaTokens: 1 },
      { hasTools: true },
      { maxOutputTokens: 101 },
      { choices: 2 },
      { maxOutputTokens: undefined },
    ])
      expect(boundOf(sonnet, { ...base, ...more })).toBeGreaterThan(boundOf(sonnet, base));
  });
});

/** The dearest at the input's length, by hand. */
function stepOf(rate: Rate | undefined, inputTokens: number): number {
  let nanoUsd = rate?.nanoUsd ?? 0;
  for (const step of rate?.steps ?? []) if (inputTokens > step.aboveInputTokens) nanoUsd = step.nanoUsd;
  return nanoUsd;
}

/** All that a request may use, shared out among the kinds of tokens that it may have. */
function shareOut(shape: CostShape & { maxOutputTokens: number; choices: number }, shares: readonly number[]): Parts {
  const input = spread(toMostInput(shape), shares.slice(0, shape.units?.includes('audioInput') === true ? 5 : 4));
  const output = spread(shape.maxOutputTokens * shape.choices, shares.slice(5, shape.units?.includes('audioOutput') === true ? 7 : 6));
  const [plain = 0, cachedInput = 0, cacheWrite = 0, cacheWrite1h = 0, audioInput = 0] = input;
  const [text = 0, audioOutput = 0] = output;
  return { input: plain, cachedInput, cacheWrite, cacheWrite1h, audioInput, output: text, audioOutput };
}

function spread(total: number, shares: readonly number[]): number[] {
  let left = total;
  const given = shares.slice(1).map((share) => {
    const part = Math.floor(left * share);
    left -= part;
    return part;
  });
  return [left, ...given];
}

describe('what is measured twice, in tokens and otherwise,', () => {
  const drawn: Usage = { ...emptyUsage, inputTokens: 10, outputTokens: 100, images: 2 };
  it.each<[string, Price, number, readonly PricedUnit[]]>([
    ['by the image', priceOf({ image: 40_000_000 }), 80_000_000, []],
    ['by the token', priceOf({ input: 1e9, output: 10e9 }), 10_000 + 1_000_000, []],
    ['by both, where both have a price', priceOf({ input: 1e9, output: 10e9, image: 5 }), 1_010_010, []],
    ['by nothing', priceOf({}), 0, ['input', 'output', 'image']],
    ['by half of the tokens', priceOf({ input: 1e9 }), 10_000, ['output', 'image']],
  ])('is priced %s', (_what, price, nanoUsd, unpriced) => {
    expect(costOf(price, drawn)).toEqual({ nanoUsd, unpriced });
    expect(findUnpriced(price, { promptBytes: 10, counts: { images: 2 } })).toEqual(unpriced);
  });

  it.each<[string, Parameters<typeof boundOf>[1]['counts'] & object, number]>([
    ['images', { images: 3 }, 3 * 7],
    ['characters', { characters: 2_000_000 }, 2 * 11],
    ['sound', { audioMilliseconds: 4500 }, Math.ceil(4.5 * 13)],
  ])('is bounded by its %s', (_what, counts, nanoUsd) => {
    const price = priceOf({ image: 7, character: 11, second: 13 });
    expect(boundOf(price, { promptBytes: 0, maxOutputTokens: 0, counts })).toBe(nanoUsd);
    expect(costOf(price, { ...emptyUsage, ...counts }).nanoUsd).toBe(nanoUsd);
  });

  it('has input of images at their own rate, else at that of text', () => {
    const shown: Usage = { ...emptyUsage, inputTokens: 100, imageInputTokens: 90, cachedInputTokens: 50 };
    expect(costOf(priceOf({ input: 1e9, imageInput: 2e9, cachedInput: 0 }), shown).nanoUsd).toBe(180_000);
    expect(costOf(priceOf({ input: 1e9 }), shown)).toEqual({ nanoUsd: 100_000, unpriced: [] });
  });
});

describe('boundOf', () => {
  it('holds what the provider may ask for beside the answer: a summary of a long prompt, advice of another model', () => {
    const short = { promptBytes: 1_000, maxOutputTokens: 100 };
    const long = { promptBytes: 60_000, maxOutputTokens: 100 };
    expect(boundOf(sonnet, { ...short, compactsFromTokens: 50_000 })).toBe(boundOf(sonnet, short));
    expect(boundOf(sonnet, { ...long, compactsFromTokens: 50_000 })).toBe(boundOf(sonnet, long) * 2);
    expect(boundOf(sonnet, { ...short, advice: 2 })).toBe(boundOf(sonnet, short) * 3);
  });

  it('takes the dearest rate that the input can come to', () => {
    expect(boundOf(sonnet, { promptBytes: 936, maxOutputTokens: 100 })).toBe(1000 * 6000 + 1_500_000);
  });

  it('without a bound of the output takes what was learnt, else an assumption for each choice', () => {
    const bound = (shape: Partial<CostShape>): number =>
      boundOf(sonnet, { promptBytes: 0, ...shape }) - boundOf(sonnet, { promptBytes: 0, maxOutputTokens: 0 });
    expect(bound({})).toBe(4096 * 15_000);
    expect(bound({ choices: 4 })).toBe(4 * 4096 * 15_000);
    expect(bound({ choices: 4, learntOutputTokens: 700 })).toBe(700 * 15_000);
    // what was learnt is no bound
    expect(bound({ maxOutputTokens: 2000, learntOutputTokens: 700 })).toBe(2000 * 15_000);
  });

  it('counts a step only where the input can reach it', () => {
    const price = priceOf({ input: { nanoUsd: 1e9, steps: [{ aboveInputTokens: 1000, nanoUsd: 9e9 }] }, output: 0 });
    expect(boundOf(price, { promptBytes: 936, maxOutputTokens: 0 })).toBe(1_000_000);
    expect(boundOf(price, { promptBytes: 937, maxOutputTokens: 0 })).toBe(9_009_000);
  });

  it('counts on a tier that the account may have chosen, but not on a cheaper one', () => {
    const price = priceOf({ input: 1e9, output: 1e9 }, { priority: 2000, flex: 500 });
    const shape = { promptBytes: 936, maxOutputTokens: 0 };
    expect(boundOf(price, shape)).toBe(2_000_000);
    expect(boundOf(price, { ...shape, serviceTier: 'auto' })).toBe(2_000_000);
    expect(boundOf(price, { ...shape, serviceTier: 'default' })).toBe(1_000_000);
    expect(boundOf(price, { ...shape, serviceTier: 'flex' })).toBe(1_000_000);
    expect(boundOf(price, { ...shape, serviceTier: 'priority' })).toBe(2_000_000);
  });
});

it('floorOf is the input at its plain rate', () => expect(floorOf(sonnet, 1000)).toBe(3_000_000));

describe('findUnpriced', () => {
  const text = { promptBytes: 1 };
  it.each<[string, Price | undefined, CostShape, readonly PricedUnit[]]>([
    ['no price at all', undefined, text, ['input', 'output']],
    ['all that is needed', priceOf({ input: 0, output: 0 }), text, []],
    ['no price of output', priceOf({ input: 1 }), text, ['output']],
    ['none is needed', priceOf({ input: 1 }), { promptBytes: 1, maxOutputTokens: 0 }, []],
    ['audio', priceOf({ input: 1, output: 1, audioInput: 1 }), { promptBytes: 1, units: ['audioInput', 'audioOutput'] }, ['audioOutput']],
    ['searches', priceOf({ input: 1, output: 1 }), { promptBytes: 1, webSearches: 1 }, ['webSearch']],
  ])('%s', (_what, price, shape, units) => expect(findUnpriced(price, shape)).toEqual(units));
});
