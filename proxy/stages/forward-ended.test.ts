import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { chatAnswer, chatBody } from '../../test/support/chat.ts';
import { keyText, makeChannelRecord } from '../../test/support/records.ts';
import { answerJson } from '../../test/support/test-upstream.ts';
import { untilHolds } from '../../test/support/eventually.ts';
import { useProxy } from '../../test/support/use-proxy.ts';
import { makeMemoryStoredObjects } from '../stored-objects/memory.ts';

const headers = { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' };
const start = useProxy();

describe('while a channel that turns out to be full is asked about its limits', () => {
  it.each(['gone', 'revoked'])('a request that is %s goes on to no other one', async (how) => {
    const { proxy, upstream } = await start(
      (_request, response) => answerJson(response, chatAnswer),
      (url) => ({
        channels: [
          makeChannelRecord(url, { id: 'default/one', priority: 0, limits: { rpm: 1 } }),
          makeChannelRecord(url, { id: 'default/two', priority: 1 }),
        ],
      }),
    );
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    const admit = proxy.counters.admit.bind(proxy.counters);
    proxy.counters.admit = async (admission) => {
      if (admission.subject !== 'channel') return admit(admission);
      asked.resolve();
      await answered.promise;
      const limit = { limitName: 'rpm', unit: 'requests', span: 'minute', limit: 1 } as const;
      return { outcome: 'refused', ...limit, retryAfterMs: 1000, windows: [], timeMs: 0, degraded: false };
    };
    const client = new AbortController();
    const request = { method: 'POST', headers, body: JSON.stringify(chatBody), signal: client.signal };
    const call = fetch(`${proxy.url}/v1/chat/completions`, request).then(
      ({ status }) => status,
      () => 'gone',
    );
    await asked.promise;
    if (how === 'gone') client.abort();
    else proxy.index.end('default/app', 'revoked');
    // a connection that closes is seen a moment later
    await sleep(100);
    answered.resolve();
    expect(await call).toBe(how === 'gone' ? 'gone' : 403);
    await untilHolds(() => expect(proxy.counters.settlements).toMatchObject([{ tokens: 0, refundRequest: true }]));
    expect(upstream.requests).toEqual([]);
  });
});

it('an answer that cannot be shown, since nobody can note whose it is, costs what it has used', async () => {
  const answer = {
    id: 'resp_1',
    object: 'response',
    output: [{ id: 'msg_1', type: 'message' }],
    usage: { input_tokens: 30, output_tokens: 5000 },
  };
  const { proxy } = await start(
    (_request, response) => answerJson(response, answer),
    (url) => ({
      channels: [makeChannelRecord(url)],
      storedObjects: { ...makeMemoryStoredObjects({ now: Date.now }), note: async () => false },
    }),
  );
  const response = await fetch(`${proxy.url}/v1/responses`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ model: 'gpt-5', input: 'Hello' }),
  });
  expect(response.status).toBe(503);
  expect(proxy.counters.settlements).toMatchObject([{ tokens: 5030 }]);
});
