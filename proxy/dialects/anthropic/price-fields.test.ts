import { describe, expect, it } from 'vitest';
import { toAnthropicPriceFields } from './price-fields.ts';

describe('what changes the price of an Anthropic request', () => {
  it.each([
    [{}, { hasTools: false, modes: [], webSearches: 0 }],
    [
      { service_tier: 'standard_only', speed: 'fast', inference_geo: 'us' },
      { serviceTier: 'standard_only', modes: ['fast', 'us'] },
    ],
    [{ tools: [{ name: 'f' }] }, { hasTools: true, webSearches: 0 }],
    [{ tools: [{ type: 'web_search_20250305', max_uses: 3 }, { type: 'web_search_20260209' }] }, { webSearches: 13 }],
    [
      {
        tools: [
          { type: 'web_search_20250305', max_uses: -3 },
          { type: 'web_search_20250305', max_uses: 0.5 },
        ],
      },
      { webSearches: 20 },
    ],
  ])('%j', (body, fields) => expect(toAnthropicPriceFields(body)).toMatchObject(fields));
});
