import { describe, expect, it } from 'vitest';
import { toOpenAIPriceFields } from './price-fields.ts';

describe('what changes the price of an OpenAI request', () => {
  it.each([
    [{}, { hasTools: false, units: [], webSearches: 0 }],
    [
      { tools: [], service_tier: null, modalities: ['text'] },
      { hasTools: false, units: [], serviceTier: undefined },
    ],
    [{ tools: [{ type: 'function' }] }, { hasTools: true }],
    [{ functions: [{ name: 'f' }] }, { hasTools: true }],
    [{ modalities: ['text', 'audio'] }, { units: ['audioOutput'] }],
    [{ service_tier: 'priority' }, { serviceTier: 'priority' }],
    [{ web_search_options: {}, n: 3 }, { webSearches: 3 }],
  ])('%j', (body, fields) => expect(toOpenAIPriceFields(body)).toMatchObject(fields));
});
