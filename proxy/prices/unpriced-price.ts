import { parseNanoUsd } from '../../core/money.ts';
import { overridePrice } from '../../core/price-override.ts';
import type { Price } from '../../core/price.ts';
import type { ChannelPrice } from '../../core/snapshot.ts';

const units: readonly (keyof Omit<ChannelPrice, 'serviceTiers'>)[] = [
  'input',
  'cachedInput',
  'cacheWrite',
  'cacheWrite1h',
  'output',
  'audioInput',
  'audioOutput',
  'image',
  'second',
  'character',
  'request',
];

/** Reads `input=5 output=25 …`: the units and dollars of a Channel's `models[].price`. Gives the price, or what is wrong with it. */
export function parseUnpricedPrice(items: readonly string[]): { readonly price: Price } | { readonly mistake: string } {
  const rates: Record<string, number> = {};
  for (const item of items) {
    const [, unit = '', usd = ''] = /^([A-Za-z0-9]+)=(.*)$/.exec(item) ?? [];
    const known = units.find((each) => each === unit);
    if (known === undefined) return { mistake: `must hold UNIT=USD with the units ${units.join(', ')}, not "${item}"` };
    if (Object.hasOwn(rates, known)) return { mistake: `names ${known} twice` };
    const nanoUsd = /^[0-9]{1,6}(\.[0-9]{1,8})?$/.test(usd) ? parseNanoUsd(usd) : Number.NaN;
    if (Number.isNaN(nanoUsd))
      return { mistake: `must hold dollars such as 2.5, with at most 6 digits before and 8 after the point, not "${item}"` };
    rates[known] = nanoUsd;
  }
  const missing = (['input', 'output'] as const).filter((unit) => rates[unit] === undefined);
  const price = overridePrice(undefined, rates);
  if (price === undefined || missing.length > 0)
    return { mistake: `must price at least ${missing.join(' and ')}, for example input=5,output=25` };
  return { price };
}
