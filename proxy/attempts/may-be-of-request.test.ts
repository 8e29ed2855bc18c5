import { expect, it } from 'vitest';
import { keyText, makeChannelRecord } from '../../test/support/records.ts';
import { answerJson } from '../../test/support/test-upstream.ts';
import { useProxy } from '../../test/support/use-proxy.ts';

const startProxy = useProxy();

it.each([
  ['flex', 200],
  ['default', 429],
  [undefined, 429],
])('a throttle of the tier %s leaves others with %i', async (tier, others) => {
  const { proxy } = await startProxy(
    (request, response) =>
      request.body.includes('no room')
        ? answerJson(response, { error: { message: 'Resource Unavailable', type: 'requests', code: null } }, 429)
        : answerJson(response, { id: 'chatcmpl-1', choices: [] }),
    (url) => ({ channels: [makeChannelRecord(url)] }),
  );
  const ask = async (content: string, body: object): Promise<number> => {
    const response = await fetch(`${proxy.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-5', messages: [{ role: 'user', content }], ...body }),
    });
    return response.status;
  };
  expect(await ask('no room', { service_tier: tier })).toBe(429);
  expect(await ask('Hello', {})).toBe(others);
});
