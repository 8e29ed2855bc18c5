import type { Body } from '../dialect.ts';
import { hasItems, type PriceFields } from '../price-fields.ts';
import { isObject, toNumber } from '../request-fields.ts';

/** A tool for searches without a bound is taken to make so many in one request; more are charged all the same when they are told. */
const assumedSearches = 10;

/** Source: Anthropic API reference, "Messages": service_tier, speed, inference_geo, "Web search tool": max_uses. */
export function toAnthropicPriceFields(body: Body): PriceFields {
  const { tools, service_tier: serviceTier } = body;
  const searches = (Array.isArray(tools) ? tools : []).filter((tool) => isObject(tool) && String(tool['type']).startsWith('web_search_'));
  return {
    hasTools: hasItems(tools),
    serviceTier: typeof serviceTier === 'string' ? serviceTier : undefined,
    modes: [body['speed'], body['inference_geo']].filter((mode) => typeof mode === 'string'),
    webSearches: searches.reduce((sum: number, tool: Body) => sum + toUses(tool), 0),
  };
}

function toUses(tool: Body): number {
  const uses = toNumber(tool, 'max_uses') ?? assumedSearches;
  // the provider refuses what is no count; here it must only not break the sum
  return Number.isSafeInteger(uses) && uses >= 0 && uses <= 1000 ? uses : assumedSearches;
}
