import { formatNanoUsd } from '../../core/money.ts';
import type { Cost } from '../../core/price.ts';
import type { Exchange } from '../exchange.ts';
import { costAt } from '../prices/price-request.ts';

/** What a request has cost until now: its answer as far as it has come, and the input of the attempts that were given up before. */
export function costSoFar({
  prices,
  channel,
  meter,
  abandonedNanoUsd,
}: Pick<Exchange, 'prices' | 'channel' | 'meter' | 'abandonedNanoUsd'>): Cost {
  const metered = meter?.usage();
  if (channel === undefined || metered === undefined) return { nanoUsd: abandonedNanoUsd, unpriced: [] };
  const { nanoUsd, unpriced } = costAt(prices, channel.id, metered.usage, metered.tiers);
  return { nanoUsd: nanoUsd + abandonedNanoUsd, unpriced };
}

/** US dollars as they are told to people; undefined when not all of it has a price. */
export function toShownCost(cost: Cost | undefined): string | undefined {
  return cost === undefined || cost.unpriced.length > 0 ? undefined : formatNanoUsd(cost.nanoUsd);
}
