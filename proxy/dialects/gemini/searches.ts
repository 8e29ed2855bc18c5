import type { Body } from '../dialect.ts';
import { isObject } from '../../../core/json.ts';

/**
 * Until Gemini 2.5 grounding has a fee for each prompt that was grounded; since Gemini 3 one for each search.
 * Source: ai.google.dev/gemini-api/docs/google-search, "Pricing".
 */
export function isSearchedByPrompt(model: string): boolean {
  return /(?:^|\/)gemini-(?:1|2)(?:\.|-|$)/.test(model);
}

/** Searches (also of maps) that one candidate tells it was grounded on. */
export function countSearches(candidate: Body): number {
  const grounding = candidate['groundingMetadata'];
  if (!isObject(grounding)) return 0;
  const queries = ['webSearchQueries', 'imageSearchQueries'].flatMap((name) => (Array.isArray(grounding[name]) ? grounding[name] : []));
  const chunks = Array.isArray(grounding['groundingChunks']) ? grounding['groundingChunks'] : [];
  const isOnMaps = chunks.some((chunk) => isObject(chunk) && isObject(chunk['maps']));
  return queries.length + (isOnMaps ? 1 : 0);
}
