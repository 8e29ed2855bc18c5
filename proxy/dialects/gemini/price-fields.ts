import type { Body, RequestShape } from '../dialect.ts';
import { hasItems, type PriceFields } from '../price-fields.ts';
import { isObject } from '../../../core/json.ts';
import { field, fieldObject } from './fields.ts';
import { isSearchedByPrompt } from './searches.ts';

/** No request bounds its searches; more are charged all the same when they are told. */
const assumedSearches = 10;

/** As JSON has them: by name, in whatever case, or by the number of the enum. Source: Gemini API reference, "Modality". */
const unitOf: Readonly<Record<string, 'imageOutput' | 'audioOutput'>> = {
  IMAGE: 'imageOutput',
  '2': 'imageOutput',
  AUDIO: 'audioOutput',
  '3': 'audioOutput',
};

/** Source: Gemini API reference, "GenerationConfig": responseModalities; "Tool"; "Priority inference": service_tier. */
export function toGeminiPriceFields(body: Body, shape?: RequestShape): PriceFields {
  const modalities = field(fieldObject(body, 'generationConfig'), 'responseModalities');
  const tools = field(body, 'tools');
  const searching = (Array.isArray(tools) ? tools : []).filter(searches).length;
  const each = isSearchedByPrompt(shape?.model ?? '') ? 1 : assumedSearches;
  return {
    hasTools: hasItems(tools),
    units: (Array.isArray(modalities) ? modalities : []).flatMap((modality) => unitOf[String(modality).toUpperCase()] ?? []),
    serviceTier: toTier(field(body, 'serviceTier')),
    webSearches: searching === 0 ? 0 : each,
  };
}

/** `SERVICE_TIER_PRIORITY` and `priority` are the same. Undefined for the usual one. */
export function toTier(value: unknown): string | undefined {
  const tier = typeof value === 'string' ? value.toLowerCase().replace(/^service_tier_/, '') : undefined;
  return tier === '' || tier === 'unspecified' ? undefined : tier;
}

function searches(tool: unknown): boolean {
  return isObject(tool) && ['googleSearch', 'googleSearchRetrieval', 'googleMaps'].some((name) => field(tool, name) !== undefined);
}
