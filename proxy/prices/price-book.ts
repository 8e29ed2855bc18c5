import type { Price } from '../../core/price.ts';
import { fillPrice, overridePrice } from '../../core/price-override.ts';
import { findModelEntry } from '../../core/route.ts';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { findBuiltInPrice } from './built-in.ts';

/** What models cost, Channel above built-in list above the price for what nobody has priced. */
export interface PriceBook {
  /**
   * @param model what the client asked for
   * @param upstreamModel what the channel's provider calls it
   * Undefined when nobody has priced it. Prices change with time: the one of a request's admission is its price to the end.
   */
  priceOf(channel: ChannelRecord, model: string, upstreamModel?: string): Price | undefined;
}

export interface PriceBookOptions {
  readonly now: () => number;
  /** for units that nobody has priced; absent: they stay without a price */
  readonly unpricedPrice?: Price | undefined;
}

/** Prices of the built-in list change at most at such a moment (some have hours of the day). */
const slotMs = 900_000;
/** A Channel without a list of models takes any name, so that one key alone could fill any memory. */
const mostModels = 2000;

interface KnownPrices {
  readonly slot: number;
  readonly prices: Map<string, Price | undefined>;
}

export function makePriceBook({ now, unpricedPrice }: PriceBookOptions): PriceBook {
  // a record never changes: a new snapshot brings new ones, and the old ones' prices go with them
  const known = new WeakMap<ChannelRecord, KnownPrices>();

  function pricesOf(channel: ChannelRecord, slot: number): KnownPrices['prices'] {
    let entry = known.get(channel);
    if (entry === undefined || entry.slot !== slot) {
      entry = { slot, prices: new Map() };
      known.set(channel, entry);
    }
    if (entry.prices.size >= mostModels) entry.prices.clear();
    return entry.prices;
  }

  return {
    priceOf(channel, model, upstreamModel = model) {
      const atMs = now();
      const prices = pricesOf(channel, Math.floor(atMs / slotMs));
      const name = `${upstreamModel} ${model}`;
      if (prices.has(name)) return prices.get(name);
      const price = withCacheWrites(channel, toPrice(channel, [upstreamModel, model], atMs));
      const filled = unpricedPrice === undefined ? price : fillPrice(price, unpricedPrice);
      prices.set(name, filled);
      return filled;
    },
  };
}

/** The name of an Azure deployment is the owner's own and often no model's; then what clients call it counts. */
function toPrice(channel: ChannelRecord, [upstreamModel, model]: readonly [string, string], atMs: number): Price | undefined {
  const names = channel.provider === 'AzureOpenAI' ? [upstreamModel, model] : [upstreamModel];
  const builtIn = names.reduce<Price | undefined>((found, name) => found ?? findBuiltInPrice(channel, name, atMs), undefined);
  return overridePrice(builtIn, findModelEntry(channel, model)?.price);
}

/** Anthropic writes caches for 1.25 and 2 times the price of input, whatever the model. Source: Anthropic "Prompt caching", pricing. */
function withCacheWrites({ provider }: ChannelRecord, price: Price | undefined): Price | undefined {
  const input = price?.rates.input;
  if (price === undefined || input === undefined || provider !== 'Anthropic') return price;
  const {
    cacheWrite = { nanoUsd: Math.ceil(input.nanoUsd * 1.25) },
    cacheWrite1h = { nanoUsd: Math.max(input.nanoUsd * 2, cacheWrite.nanoUsd) },
  } = price.rates;
  return { ...price, rates: { ...price.rates, cacheWrite, cacheWrite1h } };
}
