import { expect, it } from 'vitest';
import { required } from '../../exchange.ts';
import { responsesDriver } from './responses.ts';

const call = (action: object): object => ({ type: 'web_search_call', id: 'ws', status: 'completed', action });
const answer = Buffer.from(
  JSON.stringify({
    id: 'resp_1',
    output: [
      call({ type: 'search', query: 'a' }),
      call({ type: 'open_page', url: 'https://a.example' }),
      call({ type: 'search', query: 'b' }),
      { type: 'message', content: [{ type: 'output_text', text: 'it says "type":"web_search_call"' }] },
    ],
    usage: { input_tokens: 10, output_tokens: 5 },
  }),
);

it('counts the searches of a whole answer, however it is cut', () => {
  for (let at = 0; at <= answer.length; at += 1) {
    const surface = required(responsesDriver.surfaces[0]);
    const meter = responsesDriver.makeMeter({ surface, stream: false, withholdUsage: false, estimatedInputTokens: 1 });
    meter.push(answer.subarray(0, at));
    meter.push(answer.subarray(at));
    meter.end();
    expect(meter.usage(), `cut at ${at}`).toMatchObject({ exact: true, usage: { inputTokens: 10, outputTokens: 5, webSearches: 2 } });
  }
});
