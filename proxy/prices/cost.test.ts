import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { KeyRecord } from '../../core/snapshot.ts';
import { chatBody, chatAnswer, postChat } from '../../test/support/chat.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../../test/support/test-proxy.ts';
import { answerJson, startUpstream } from '../../test/support/test-upstream.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const budgets: KeyRecord['budgets'] = [{ period: 'Total', limitNanoUsd: 1e12, mode: 'Enforce', warnAt: [] }];
const price = { input: 2e9, output: 10e9 };

/** A channel of a server that the built-in list does not know. */
async function start(key: Partial<KeyRecord>, models?: Parameters<typeof makeChannelRecord>[1] & object): Promise<TestProxy> {
  const upstream = await startUpstream((_request, response) => answerJson(response, { ...chatAnswer, service_tier: 'flex' }));
  ends.push(() => upstream.close());
  const channel = makeChannelRecord(upstream.url, { provider: 'OpenAICompatible', ...models });
  const proxy = await startTestProxy({ channels: [channel], keys: [makeKeyRecord(key)] });
  ends.push(() => proxy.stop());
  return proxy;
}

describe('the cost of a request', () => {
  it('is counted, logged and told to whoever keeps accounts', async () => {
    const proxy = await start({}, { models: [{ name: 'gpt-4o-mini', price: { ...price, serviceTiers: { flex: 500 } } }] });
    expect((await postChat(proxy.url)).status).toBe(200);
    // 11 tokens in, 7 out, at half the price
    const nanoUsd = (11 * 2000 + 7 * 10_000) / 2;
    expect(proxy.counters.settlements[0]?.event).toMatchObject({ costNanoUsd: nanoUsd });
    const metrics = await proxy.metrics.registry.metrics();
    expect(metrics).toContain(`keywright_cost_usd_total{key="default/app"} ${nanoUsd / 1e9}`);
    expect(metrics).toContain(`keywright_channel_cost_usd_total{channel="default/openai",model="gpt-4o-mini"} ${nanoUsd / 1e9}`);
    expect(proxy.accessLines()[0]).toMatchObject({ cost_usd: '0.000046' });
  });

  it('without a price is none, and is counted as such', async () => {
    const proxy = await start({}, { models: [{ name: 'gpt-4o-mini' }] });
    expect((await postChat(proxy.url)).status).toBe(200);
    expect(proxy.counters.settlements[0]?.event).not.toHaveProperty('costNanoUsd');
    expect(await proxy.metrics.registry.metrics()).toContain(
      'keywright_unpriced_requests_total{channel="default/openai",model="gpt-4o-mini"} 1',
    );
  });

  it('that nobody knows is refused to a key with a budget', async () => {
    const proxy = await start({ budgets }, { models: [{ name: 'gpt-4o-mini' }] });
    const response = await postChat(proxy.url);
    expect([response.status, await response.json()]).toMatchObject([403, { error: { code: 'model_not_priced' } }]);
  });

  it('is told in a header of a short whole answer, also where a provider names no length', async () => {
    const proxy = await start({}, { models: [{ name: 'gpt-4o-mini', price }] });
    const response = await postChat(proxy.url);
    expect(response.headers.get('x-keywright-cost-usd')).toBe('0.000092');
    expect(await response.json()).toMatchObject({ usage: chatAnswer.usage });
  });

  it('of a long answer comes behind it, to a client that takes trailers', async () => {
    const upstream = await startUpstream((_request, response) => answerJson(response, { ...chatAnswer, padding: 'x'.repeat(100_000) }));
    ends.push(() => upstream.close());
    const channel = makeChannelRecord(upstream.url, { provider: 'OpenAICompatible', models: [{ name: 'gpt-4o-mini', price }] });
    const proxy = await startTestProxy({ channels: [channel], keys: [makeKeyRecord()] });
    ends.push(() => proxy.stop());
    expect((await postChat(proxy.url)).headers.get('x-keywright-cost-usd')).toBeNull();
    const trailers = await postForTrailers(proxy.port);
    expect(trailers).toEqual({ 'x-keywright-cost-usd': '0.000092' });
  });
});

function postForTrailers(port: number): Promise<Record<string, string | undefined>> {
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, string | undefined>>();
  const headers = { authorization: `Bearer ${keyText}`, 'content-type': 'application/json', te: 'trailers', connection: 'TE' };
  request({ port, method: 'POST', path: '/v1/chat/completions', headers }, (response) => {
    response.resume().on('end', () => resolve({ ...response.trailers }));
  })
    .on('error', reject)
    .end(JSON.stringify(chatBody));
  return promise;
}
