import { describe, expect, it } from 'vitest';
import type { KeyAccess } from '../../../core/snapshot.ts';
import { answerJson, type UpstreamHandler } from '../../../test/support/test-upstream.ts';
import { useOneChannel } from '../../../test/support/one-channel.ts';

describe('POST /v1/moderations', () => {
  const start = useOneChannel();
  const answering: UpstreamHandler = (_request, response) =>
    answerJson(response, { id: 'modr-1', model: 'omni-moderation-latest', results: [] });
  const budgets = [{ period: 'Monthly', limitNanoUsd: 1, mode: 'Enforce', warnAt: [] }] as const;

  it('is a request, costs nothing at OpenAI, and fits into any budget', async () => {
    const { post, proxy } = await start(answering, { key: { budgets, limits: { rpm: 1 } } });
    const response = await post('/v1/moderations', { model: 'omni-moderation-latest', input: ['a', 'b'] });
    expect(response.status).toBe(200);
    expect(response.headers.get('x-keywright-cost-usd')).toBe('0');
    expect(proxy.counters.settlements[0]?.money?.costNanoUsd).toBe(0);
    expect((await post('/v1/moderations', { input: 'a' })).status).toBe(429);
  });

  it('is charged where the Channel says that it costs something', async () => {
    const { post } = await start(answering, {
      channel: { provider: 'OpenAICompatible', models: [{ name: '*', price: { request: 1_000_000 } }] },
    });
    const response = await post('/v1/moderations', { model: 'mistral-moderation-latest', input: 'a' });
    await response.text();
    // the tokens have no price, and the cost is not told where something has none
    expect(response.headers.get('x-keywright-cost-usd')).toBeNull();
    const both = await start(answering, {
      channel: { provider: 'OpenAICompatible', models: [{ name: '*', price: { request: 1_000_000, input: 0 } }] },
    });
    expect((await both.post('/v1/moderations', { model: 'm', input: 'a' })).headers.get('x-keywright-cost-usd')).toBe('0.001');
  });

  it.each<[string, KeyAccess, object, number]>([
    ['a key without a list', {}, {}, 200],
    ['a key that may use the default', { models: ['omni-*'] }, {}, 200],
    ['a key that may not', { models: ['gpt-4o*'] }, {}, 403],
    ['null, which names none either', { models: ['gpt-4o*'] }, { model: null }, 403],
    ['another model', { models: ['omni-*'] }, { model: 'text-moderation-stable' }, 403],
    ['no name', {}, { model: 7 }, 400],
  ])('that names no model asks for the default: %s', async (_what, access, body, status) => {
    const { post, upstream } = await start(answering, { key: { access } });
    expect((await post('/v1/moderations', { input: 'a', ...body })).status).toBe(status);
    expect(upstream.requests.map((request) => JSON.parse(request.body))).toEqual(
      status === 200 ? [{ input: 'a', ...body, model: 'omni-moderation-latest' }] : [],
    );
  });

  it('sends the name that the Channel has for the default', async () => {
    const { post, upstream } = await start(answering, { channel: { models: [{ name: 'omni-moderation-latest', upstreamName: 'guard' }] } });
    await post('/v1/moderations', { input: 'a' });
    await post('/v1/moderations', { model: 'omni-moderation-latest', input: 'a' });
    expect(upstream.requests.map((request) => (JSON.parse(request.body) as { model: string }).model)).toEqual(['guard', 'guard']);
  });
});
