import { isPriced, type Price, type PricedUnit, type Rate } from './price.ts';
import type { ChannelPrice } from './snapshot.ts';

/** Kinds of tokens that providers price in relation to another one. */
const relations = [
  ['cachedInput', 'input'],
  ['cacheWrite', 'input'],
  ['cacheWrite1h', 'input'],
  ['audioInput', 'input'],
  ['audioOutput', 'output'],
  ['imageOutput', 'output'],
  ['imageInput', 'input'],
] as const;

/**
 * The built-in price with what a Channel says above it, unit by unit. Where a Channel prices input (or output) and not the kinds of it (cached input, cache writes, audio), these keep their
 * relation to it: half price for input is half price for a cache write too. Undefined when nobody says anything.
 */
export function overridePrice(builtIn: Price | undefined, channel: ChannelPrice | undefined): Price | undefined {
  if (channel === undefined || Object.keys(channel).length === 0) return builtIn;
  const { rates: listed, serviceTiers: listedTiers, unaskedThousandths } = builtIn ?? noPrice;
  const { serviceTiers = {}, ...units } = channel;
  const own = Object.entries(units).map(([unit, nanoUsd]) => [unit, { nanoUsd }] as const);
  const related = relations.flatMap(([kind, base]) =>
    toRelated(listed[kind], listed[base], units[base]).map((rate) => [kind, rate] as const),
  );
  return {
    rates: { ...listed, ...Object.fromEntries(related), ...Object.fromEntries(own) },
    serviceTiers: { ...listedTiers, ...serviceTiers },
    // a Channel that lists tiers tells which ones its account has; nobody else's are used unasked
    unaskedThousandths: Math.max(unaskedThousandths, ...Object.values(serviceTiers)),
  };
}

const noPrice: Price = { rates: {}, serviceTiers: {}, unaskedThousandths: 1000 };

/** The rate of a kind where a Channel says another one for what it is a kind of. */
function toRelated(kind: Rate | undefined, base: Rate | undefined, given: number | undefined): readonly Rate[] {
  if (kind === undefined || base === undefined || given === undefined) return [];
  return [{ nanoUsd: inProportion(kind.nanoUsd, given, base.nanoUsd) }];
}

/** nanoUsd × given / base, rounded up. A base of 0 has no relations. */
function inProportion(nanoUsd: number, given: number, base: number): number {
  if (base === 0) return given;
  const divisor = BigInt(base);
  return Number((BigInt(nanoUsd) * BigInt(given) + divisor - 1n) / divisor);
}

/** The price with another one's rates for what it does not price; undefined counts as a price without rates. */
export function fillPrice(price: Price | undefined, fallback: Price): Price {
  if (price === undefined) return fallback;
  const missing = Object.entries(fallback.rates).filter(([unit]) => !isPriced(price, unit as PricedUnit));
  return { ...price, rates: { ...price.rates, ...Object.fromEntries(missing) } };
}
