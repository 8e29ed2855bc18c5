import type { CostShape } from '../../core/price.ts';

/** What a request says beside prompt and output that changes its price. */
export type PriceFields = Pick<CostShape, 'hasTools' | 'units' | 'serviceTier' | 'modes' | 'webSearches' | 'compactsFromTokens' | 'advice'>;

export function hasItems(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}
