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
    [
      {
        tools: [
          { type: 'advisor_20260301', model: 'm', max_uses: 2 },
          { type: 'advisor_20260301', model: 'm' },
        ],
      },
      { advice: 5 },
    ],
    [{ context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] } }, { compactsFromTokens: undefined, advice: 0 }],
    [{ context_management: { edits: [null, { type: 'compact_20260112' }] } }, { compactsFromTokens: 50_000 }],
    [{ compaction: { type: 'summarize' } }, { compactsFromTokens: 0 }],
    [
      { compaction: null, context_management: null, tools: null },
      { compactsFromTokens: undefined, webSearches: 0 },
    ],
  ])('%j', (body, fields) => expect(toAnthropicPriceFields(body)).toMatchObject(fields));
});
