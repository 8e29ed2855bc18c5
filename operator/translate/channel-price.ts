import { parseNanoUsd } from '../../core/money.ts';
import type { ModelPrice } from '../../core/resources.ts';
import type { ChannelPrice } from '../../core/snapshot.ts';

/** A model's price as the proxies count: dollars become nano-dollars, multipliers thousandths. The schema lets through only what both hold exactly. */
export function toChannelPrice({ serviceTiers, ...units }: ModelPrice): ChannelPrice {
  const price = Object.fromEntries(Object.entries(units).map(([unit, usd]) => [unit, parseNanoUsd(usd)]));
  if (serviceTiers === undefined) return price;
  return { ...price, serviceTiers: Object.fromEntries(Object.entries(serviceTiers).map(([tier, text]) => [tier, toThousandths(text)])) };
}

/** `1.75` → 1750, digit by digit: 1.001 × 1000 is no integer. */
function toThousandths(text: string): number {
  const [whole, fraction = ''] = text.split('.');
  return Number(whole) * 1000 + Number(fraction.padEnd(3, '0'));
}
