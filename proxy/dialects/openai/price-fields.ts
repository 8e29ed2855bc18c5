import type { Body } from '../dialect.ts';
import { hasItems, type PriceFields } from '../price-fields.ts';
import { isObject } from '../../../core/json.ts';
import { toNumber } from '../request-fields.ts';

/** Source: OpenAI API reference, "Chat Completions": service_tier, modalities, tools, web_search_options. Searches of a search model are one for each choice. */
export function toOpenAIPriceFields(body: Body): PriceFields {
  const { modalities, service_tier: serviceTier } = body;
  return {
    hasTools: hasItems(body['tools']) || hasItems(body['functions']),
    units: Array.isArray(modalities) && modalities.includes('audio') ? ['audioOutput'] : [],
    serviceTier: typeof serviceTier === 'string' ? serviceTier : undefined,
    webSearches: isObject(body['web_search_options']) ? (toNumber(body, 'n') ?? 1) : 0,
  };
}
