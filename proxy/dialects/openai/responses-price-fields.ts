import type { Body } from '../dialect.ts';
import { hasItems, type PriceFields } from '../price-fields.ts';
import { isObject } from '../../../core/json.ts';
import { toNumber } from '../request-fields.ts';

/** A request whose tools may search and that sets no bound to their calls is taken to make so many; more are charged all the same when they are told. */
const assumedSearches = 10;

/** Source: OpenAI API reference, "Responses": service_tier, tools, max_tool_calls. */
export function toResponsesPriceFields(body: Body): PriceFields {
  const { tools, service_tier: serviceTier } = body;
  const searches = (Array.isArray(tools) ? tools : []).some((tool) => isObject(tool) && String(tool['type']).startsWith('web_search'));
  return {
    hasTools: hasItems(tools),
    units: [],
    serviceTier: typeof serviceTier === 'string' ? serviceTier : undefined,
    webSearches: searches ? toCalls(toNumber(body, 'max_tool_calls')) : 0,
  };
}

/** The provider refuses what is no count; here it must only not break the sum. */
function toCalls(bound: number = assumedSearches): number {
  return Number.isSafeInteger(bound) && bound >= 0 && bound <= 1000 ? bound : assumedSearches;
}

/** Searches that an answer shows. Opening a page that was found, or looking into it, is part of one. Source: OpenAI, "Pricing", built-in tools. */
export function isSearch(item: unknown): boolean {
  if (!isObject(item) || item['type'] !== 'web_search_call') return false;
  const action = isObject(item['action']) ? item['action']['type'] : undefined;
  return action === undefined || action === 'search';
}
