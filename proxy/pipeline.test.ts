import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../core/secret.ts';
import type { ChannelRecord, KeyRecord } from '../core/snapshot.ts';
import { chatAnswer, chatBody, postChat } from '../test/support/chat.ts';
import { keyText, makeChannelRecord, makeKeyRecord, providerText } from '../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../test/support/test-proxy.ts';
import { answerJson, startUpstream, type TestUpstream, type UpstreamHandler } from '../test/support/test-upstream.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function upstreamThat(answer: UpstreamHandler): Promise<TestUpstream> {
  const upstream = await startUpstream(answer);
  ends.push(() => upstream.close());
  return upstream;
}

async function proxyFor(channels: readonly ChannelRecord[], more: Partial<Parameters<typeof startTestProxy>[0]> = {}): Promise<TestProxy> {
  const proxy = await startTestProxy({ channels, ...more });
  ends.push(() => proxy.stop());
  return proxy;
}

const answering: UpstreamHandler = (_request, response) => answerJson(response, chatAnswer);
const limited = (): KeyRecord => makeKeyRecord({ limits: { rpm: 10, tpm: 100_000 } });

describe('a whole answer', () => {
  it('passes byte for byte, with usage booked and one access line', async () => {
    const upstream = await upstreamThat(answering);
    const proxy = await proxyFor([makeChannelRecord(`${upstream.url}/base`)], { keys: [limited()] });
    const body = '{ "model":"gpt-4o-mini" , "messages":[{"role":"user","content":"H\\u00e9llo"}],"temperature":1.0e0}';
    const response = await postChat(proxy.url, body);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe(JSON.stringify(chatAnswer));
    expect(upstream.requests[0]).toMatchObject({ method: 'POST', url: '/base/v1/chat/completions', body });
    expect(response.headers.get('x-request-id')).toMatch(/^req_[0-9a-f]{32}$/);
    expect(response.headers.get('x-keywright-key')).toBe('default/app');
    expect(response.headers.get('x-keywright-channel')).toBe('default/openai');
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('10');
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 18, refundRequest: false })]);
    expect(proxy.accessLines()).toEqual([
      expect.objectContaining({
        request_id: response.headers.get('x-request-id'),
        key: 'default/app',
        prefix: 'sk-kw-0123',
        client_address: '127.0.0.1',
        dialect: 'OpenAI',
        model: 'gpt-4o-mini',
        channel: 'default/openai',
        status: 200,
        input_tokens: 11,
        output_tokens: 7,
        attempts: 1,
        limiter_time_ms: expect.any(Number),
        overhead_ms: expect.any(Number),
      }),
    ]);
    const metrics = await proxy.metrics.registry.metrics();
    expect(metrics).toContain('keywright_requests_total{namespace="default",key="default/app",status_class="2xx"} 1');
    expect(metrics).toContain('keywright_tokens_total{key="default/app",kind="output"} 7');
  });

  it('replaces the model where the Channel says so, and nothing else', async () => {
    const upstream = await upstreamThat(answering);
    const proxy = await proxyFor([makeChannelRecord(upstream.url, { models: [{ name: 'gpt-4o-*', upstreamName: 'their-name' }] })]);
    await postChat(proxy.url, '{"x" : 1.50,"model": "gpt-4o-mini","messages":[]}');
    expect(upstream.requests[0]?.body).toBe('{"x" : 1.50,"model": "their-name","messages":[]}');
  });

  it('a coded answer is decoded, or its usage would be hidden', async () => {
    const upstream = await upstreamThat((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(gzipSync(JSON.stringify(chatAnswer)));
    });
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { keys: [limited()] });
    const response = await postChat(proxy.url);
    expect(response.headers.get('content-encoding')).toBeNull();
    expect(await response.json()).toEqual(chatAnswer);
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 18 })]);
  });

  it('an answer in an unknown coding is none', async () => {
    const upstream = await upstreamThat((_request, response) => response.writeHead(200, { 'content-encoding': 'x-secret' }).end('???'));
    const proxy = await proxyFor([makeChannelRecord(upstream.url)]);
    expect((await postChat(proxy.url)).status).toBe(503);
  });
});

describe('headers', () => {
  it('hold no key, cookie or trace of the way on to the provider, and its own credential is set', async () => {
    const upstream = await upstreamThat(answering);
    const proxy = await proxyFor([makeChannelRecord(upstream.url, { headers: { 'X-Tenant': 'a' }, project: 'proj_1' })]);
    await postChat(proxy.url, chatBody, {
      'x-api-key': keyText,
      cookie: 'session=1',
      'x-forwarded-for': '192.0.2.1',
      forwarded: 'for=192.0.2.1',
      via: '1.1 x',
      'x-keywright-debug': '1',
      'proxy-authorization': 'Basic abc',
      'accept-encoding': 'gzip',
      'x-odd': `prefix ${keyText}`,
      'openai-project': 'proj_of_the_client',
      'openai-beta': 'assistants=v2',
      'x-stainless-lang': 'js',
      'user-agent': 'test/1',
    });
    const [request] = upstream.requests;
    expect(request?.headers).toMatchObject({
      authorization: `Bearer ${providerText}`,
      'accept-encoding': 'identity',
      'content-type': 'application/json',
      'x-tenant': 'a',
      'openai-project': 'proj_1',
      'openai-beta': 'assistants=v2',
      'x-stainless-lang': 'js',
      'user-agent': 'test/1',
    });
    expect(request?.rawHeaders.join('\n')).not.toContain(keyText);
    for (const name of [
      'x-api-key',
      'cookie',
      'x-forwarded-for',
      'forwarded',
      'via',
      'x-keywright-debug',
      'proxy-authorization',
      'x-odd',
    ]) {
      expect(request?.headers[name]).toBeUndefined();
    }
  });

  it('of the provider that tell of the shared account do not come back', async () => {
    const upstream = await upstreamThat((_request, response) =>
      answerJson(response, chatAnswer, 200, {
        'x-ratelimit-remaining-requests': '9999',
        'openai-organization': 'org-1',
        'openai-project': 'proj-1',
        'set-cookie': 'a=b',
        'x-request-id': 'theirs',
        server: 'theirs',
        'x-keywright-key': 'forged',
        'x-echo': `Bearer ${providerText}`,
        connection: 'x-hop, keep-alive',
        'x-hop': '1',
        'openai-processing-ms': '12',
      }),
    );
    const proxy = await proxyFor([makeChannelRecord(upstream.url)]);
    const response = await postChat(proxy.url);
    const headers = Object.fromEntries(response.headers);
    for (const name of [
      'x-ratelimit-remaining-requests',
      'openai-organization',
      'openai-project',
      'set-cookie',
      'server',
      'x-echo',
      'x-hop',
    ]) {
      expect(headers[name]).toBeUndefined();
    }
    expect(headers['x-request-id']).not.toBe('theirs');
    expect(headers).toMatchObject({ 'x-keywright-key': 'default/app', 'openai-processing-ms': '12' });
  });

  it('no secret is ever logged or counted', async () => {
    const upstream = await upstreamThat((_request, response) =>
      answerJson(response, { error: { message: `bad key ${providerText}` } }, 401),
    );
    const proxy = await proxyFor([makeChannelRecord(upstream.url)]);
    const response = await postChat(proxy.url, chatBody, { 'x-api-key': keyText });
    await fetch(`${proxy.url}/v1/models?key=${keyText}`);
    await fetch(`${proxy.url}/nowhere?key=${keyText}`);
    await postChat(proxy.url, `{"model":"${keyText}"`);
    const seen = `${await response.text()} ${JSON.stringify([...response.headers])} ${proxy.logText()} ${await proxy.metrics.registry.metrics()}`;
    expect(response.status).toBe(503);
    expect(seen).not.toContain(keyText);
    expect(seen).not.toContain(providerText);
    expect(proxy.accessLines()).toHaveLength(4);
  });

  it('anthropic-version is added where the client left it out', async () => {
    const upstream = await upstreamThat(answering);
    const channel = makeChannelRecord(upstream.url, { provider: 'Anthropic', authHeader: 'x-api-key', authScheme: '' });
    const proxy = await proxyFor([channel]);
    await fetch(`${proxy.url}/v1/messages?beta=true&key=${keyText}&x=1`, {
      method: 'POST',
      body: '{"model":"claude-x","max_tokens":1,"messages":[]}',
      headers: { 'content-type': 'application/json' },
    });
    expect(upstream.requests[0]).toMatchObject({
      url: '/v1/messages?beta=true',
      headers: { 'anthropic-version': '2023-06-01', 'x-api-key': providerText },
    });
    expect(upstream.requests[0]?.headers.authorization).toBeUndefined();
  });
});

describe('keys', () => {
  it.each([
    ['authorization', { authorization: `Bearer ${keyText}` }, ''],
    ['x-api-key', { 'x-api-key': keyText }, ''],
    ['x-goog-api-key', { 'x-goog-api-key': keyText }, ''],
    ['api-key', { 'api-key': keyText }, ''],
    ['the query', {}, `?key=${keyText}`],
    ['two places', { 'x-api-key': keyText, authorization: `Bearer ${keyText}` }, `?key=${keyText}`],
  ])('may stand in %s', async (_name, headers, query) => {
    const proxy = await proxyFor([makeChannelRecord('http://127.0.0.1:9', { models: [{ name: 'a' }] })]);
    const response = await fetch(`${proxy.url}/v1/models${query}`, { headers: headers as Record<string, string> });
    expect(response.status).toBe(200);
  });

  it('two different ones are refused, none and unknown ones as well', async () => {
    const proxy = await proxyFor([]);
    const call = async (headers: Record<string, string>) => {
      const response = await fetch(`${proxy.url}/v1/models`, { headers });
      return [response.status, ((await response.json()) as { error: { code: string } }).error.code];
    };
    expect(await call({ 'x-api-key': keyText, authorization: 'Bearer other' })).toEqual([400, 'conflicting_keys']);
    expect(await call({})).toEqual([401, 'invalid_api_key']);
    expect(await call({ authorization: 'Bearer sk-kw-unknown' })).toEqual([401, 'invalid_api_key']);
  });

  it('an unknown key is no 401 while the snapshot may be stale', async () => {
    const proxy = await proxyFor([]);
    proxy.index.disconnected = 10_001;
    expect((await postChat(proxy.url, chatBody, { authorization: 'Bearer sk-kw-new' })).status).toBe(503);
    proxy.index.disconnected = 0;
    proxy.index.ready = false;
    expect((await postChat(proxy.url, chatBody, { authorization: 'Bearer sk-kw-new' })).status).toBe(503);
    expect(proxy.proxy.readiness()).toEqual(['snapshot']);
  });

  it('too many unknown ones are 429, a valid one never', async () => {
    const upstream = await upstreamThat(answering);
    const proxy = await proxyFor([makeChannelRecord(upstream.url)]);
    const statuses = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        postChat(proxy.url, chatBody, { authorization: `Bearer guess-${index}` }).then(({ status }) => status),
      ),
    );
    expect(statuses.filter((status) => status === 401)).toHaveLength(20);
    expect(statuses.filter((status) => status === 429)).toHaveLength(10);
    expect((await postChat(proxy.url)).status).toBe(200);
  });
});

describe('models', () => {
  it('lists what this key may use, in the dialect of the client', async () => {
    const openai = makeChannelRecord('http://127.0.0.1:9', {
      models: [{ name: 'gpt-b' }, { name: 'gpt-a' }, { name: 'gpt-*' }, { name: 'other' }],
    });
    const second = makeChannelRecord('http://127.0.0.1:9', { id: 'default/second', models: [{ name: 'gpt-b' }] });
    const anthropic = makeChannelRecord('http://127.0.0.1:9', {
      id: 'default/anthropic',
      provider: 'Anthropic',
      models: [{ name: 'claude-x' }],
    });
    const proxy = await proxyFor([openai, second, anthropic], { keys: [makeKeyRecord({ access: { models: ['gpt-*', 'claude-*'] } })] });
    const get = async (path: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`${proxy.url}${path}`, { headers: { 'x-api-key': keyText, ...headers } });
      return { status: response.status, body: (await response.json()) as { data: { id: string }[]; id?: string } };
    };
    expect((await get('/v1/models')).body.data.map(({ id }) => id)).toEqual(['gpt-a', 'gpt-b']);
    expect((await get('/v1/models', { 'anthropic-version': '2023-06-01' })).body).toMatchObject({
      data: [{ type: 'model', id: 'claude-x' }],
      has_more: false,
    });
    expect((await get('/anthropic/v1/models')).body.data.map(({ id }) => id)).toEqual(['claude-x']);
    expect((await get('/v1/models/gpt-a')).body).toMatchObject({ id: 'gpt-a', object: 'model' });
    expect((await get('/v1/models/gpt-in-the-glob')).status).toBe(200);
    expect((await get('/v1/models/other')).status).toBe(404);
  });
});

describe('limits', () => {
  it('refuse with the limit, its amount and when, and the refused request changes nothing', async () => {
    const upstream = await upstreamThat(answering);
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { keys: [makeKeyRecord({ limits: { rpm: 1 } })] });
    expect((await postChat(proxy.url)).status).toBe(200);
    const refused = await postChat(proxy.url);
    expect(refused.status).toBe(429);
    const { error } = (await refused.json()) as { error: { message: string; code: string; type: string } };
    expect(error).toMatchObject({ code: 'rate_limit_exceeded', type: 'requests' });
    expect(error.message).toMatch(/^The limit rpm of this key is reached: 1 requests per minute\. Try again in [\d.]+ s\.$/);
    expect(Number(refused.headers.get('retry-after-ms'))).toBeGreaterThan(0);
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(61);
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect(upstream.requests).toHaveLength(1);
    expect(proxy.counters.settlements).toHaveLength(1);
  });

  it('of 0 are never retried, and name no time to come back at: nothing frees them', async () => {
    const upstream = await upstreamThat(answering);
    const keys = [makeKeyRecord({ limits: { rpm: 0 } })];
    const refused = await postChat((await proxyFor([makeChannelRecord(upstream.url)], { keys })).url);
    expect([refused.status, refused.headers.get('x-should-retry')]).toEqual([429, 'false']);
    expect([refused.headers.get('retry-after'), refused.headers.get('retry-after-ms')]).toEqual([null, null]);
    const { error } = (await refused.json()) as { error: { message: string } };
    expect(error.message).toBe('The limit rpm of this key lets nothing in: 0 requests per minute.');
  });

  it('count a model by the first entry that matches it, on top of the key', async () => {
    const upstream = await upstreamThat(answering);
    const limits = {
      rpm: 5,
      models: [
        { model: 'gpt-4o*', rpm: 1 },
        { model: '*', rpm: 2 },
      ],
    };
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { keys: [makeKeyRecord({ limits })] });
    const call = async (model: string) => (await postChat(proxy.url, { ...chatBody, model })).status;
    expect([await call('gpt-4o'), await call('gpt-4o'), await call('o3'), await call('o3'), await call('o3')]).toEqual([
      200, 429, 200, 200, 429,
    ]);
  });

  it('that cannot be asked are 503, and a share of this pod is told', async () => {
    const upstream = await upstreamThat(answering);
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { keys: [limited()] });
    proxy.counters.answer = () => Promise.resolve({ outcome: 'unavailable' });
    const refused = await postChat(proxy.url);
    expect([refused.status, ((await refused.json()) as { error: { code: string } }).error.code]).toEqual([503, 'limiter_unavailable']);
    proxy.counters.answer = () =>
      Promise.resolve({ outcome: 'admitted', timeMs: 1, windows: [], shadowRefusals: ['rpm:gpt*'], degraded: true });
    const degraded = await postChat(proxy.url);
    expect(degraded.headers.get('x-keywright-degraded')).toBe('limits');
    expect(await proxy.metrics.registry.metrics()).toContain('keywright_shadow_refusals_total{key="default/app",reason="rpm"} 1');
  });

  it('know of a revocation that nobody has told this pod: it counts from then on, also where they are not asked', async () => {
    const upstream = await upstreamThat(answering);
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { keys: [limited()] });
    const revocation = { keyId: 'default/app', uid: 'u1', gen: 1, state: 'Suspended', ended: [] } as const;
    proxy.counters.answer = () => Promise.resolve({ outcome: 'overruled', timeMs: 1, revocations: [revocation] });
    const refused = await postChat(proxy.url);
    expect([refused.status, ((await refused.json()) as { error: { code: string } }).error.code]).toEqual([403, 'key_suspended']);
    proxy.counters.answer = undefined;
    expect((await fetch(`${proxy.url}/v1/models`, { headers: { authorization: `Bearer ${keyText}` } })).status).toBe(403);
    expect([upstream.requests, proxy.counters.settlements]).toEqual([[], []]);
  });

  it('are not asked for a request that nobody could serve', async () => {
    const proxy = await proxyFor([makeChannelRecord('http://127.0.0.1:9', { models: [{ name: 'a' }] })], { keys: [limited()] });
    expect((await postChat(proxy.url)).status).toBe(404);
    expect(proxy.counters.admissions).toHaveLength(0);
  });
});

describe('another channel', () => {
  const second = { id: 'default/second', priority: 1 };

  it.each([
    ['429', (response: Parameters<UpstreamHandler>[1]) => answerJson(response, { error: {} }, 429)],
    ['500', (response: Parameters<UpstreamHandler>[1]) => answerJson(response, { error: {} }, 500)],
    [
      '401 of our own credential',
      (response: Parameters<UpstreamHandler>[1]) => answerJson(response, { error: { message: providerText } }, 401),
    ],
    [
      'an account without money',
      (response: Parameters<UpstreamHandler>[1]) => answerJson(response, { error: { code: 'insufficient_quota' } }, 429),
    ],
    ['a reset without a byte', (response: Parameters<UpstreamHandler>[1]) => response.destroy()],
    ['a redirect', (response: Parameters<UpstreamHandler>[1]) => response.writeHead(302, { location: 'http://192.0.2.1/' }).end()],
  ])('answers after %s', async (_name, fail) => {
    const bad = await upstreamThat((_request, response) => fail(response));
    const good = await upstreamThat(answering);
    const channels = [makeChannelRecord(bad.url, { retries: { attempts: 0, on: [] } }), makeChannelRecord(good.url, second)];
    const proxy = await proxyFor(channels, { keys: [limited()] });
    const response = await postChat(proxy.url);
    expect([response.status, response.headers.get('x-keywright-channel')]).toEqual([200, 'default/second']);
    expect(bad.requests).toHaveLength(1);
    expect(proxy.counters.settlements).toHaveLength(1);
    expect(proxy.accessLines()[0]).toMatchObject({ attempts: 2, channel: 'default/second' });
  });

  it('answers when the first cannot be connected to, without a trace in the tokens', async () => {
    const good = await upstreamThat(answering);
    const proxy = await proxyFor([makeChannelRecord('http://127.0.0.1:9'), makeChannelRecord(good.url, second)], { keys: [limited()] });
    expect((await postChat(proxy.url)).status).toBe(200);
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 18 })]);
  });

  it('is not asked when the request itself is at fault: the provider answer passes byte for byte', async () => {
    const body = '{"error":{"message":"bad",   "type":"invalid_request_error"}}';
    const bad = await upstreamThat((_request, response) => response.writeHead(400, { 'content-type': 'application/json' }).end(body));
    const good = await upstreamThat(answering);
    const proxy = await proxyFor([makeChannelRecord(bad.url), makeChannelRecord(good.url, second)], { keys: [limited()] });
    const response = await postChat(proxy.url);
    expect([response.status, await response.text()]).toEqual([400, body]);
    expect(good.requests).toHaveLength(0);
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 0, refundRequest: false })]);
  });

  it('is not asked after a time-out unless the Channel says so; the input counts, since it may be billed', async () => {
    const silent = await upstreamThat(() => {});
    const good = await upstreamThat(answering);
    const timeouts = { connectMs: 500, firstByteMs: 100, idleMs: 1000, totalMs: 5000 };
    const slow = makeChannelRecord(silent.url, { timeouts, retries: { attempts: 1, on: ['ServerError'] } });
    const proxy = await proxyFor([slow, makeChannelRecord(good.url, second)], { keys: [limited()] });
    const response = await postChat(proxy.url);
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([504, 'upstream_timeout']);
    expect(proxy.counters.settlements[0]?.tokens).toBeGreaterThan(5);
    proxy.index.channels = [{ ...slow, retries: { attempts: 0, on: ['Timeout'] } }, makeChannelRecord(good.url, second)];
    expect((await postChat(proxy.url)).status).toBe(200);
  });

  it('three attempts are all there are; throttles everywhere are told as one', async () => {
    const throttled = await upstreamThat((_request, response, number) =>
      answerJson(response, {}, 429, { 'retry-after': String(number * 7) }),
    );
    const channels = [1, 2, 3, 4].map((priority) => makeChannelRecord(throttled.url, { id: `default/c${priority}`, priority }));
    const proxy = await proxyFor(channels, { keys: [limited()] });
    const response = await postChat(proxy.url);
    expect(throttled.requests).toHaveLength(3);
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '7']);
    expect(((await response.json()) as { error: { code: string } }).error.code).toBe('upstream_rate_limited');
  });

  it('a dead credential is not used again, the next of the pool is', async () => {
    const upstream = await upstreamThat((request, response) =>
      request.headers.authorization === 'Bearer dead' ? answerJson(response, {}, 401) : answerJson(response, chatAnswer),
    );
    const credentials = [
      { name: 'dead', weight: 1, secret: new Secret('dead') },
      { name: 'alive', weight: 1, secret: new Secret('alive') },
    ];
    const proxy = await proxyFor([makeChannelRecord(upstream.url, { credentials })]);
    expect((await postChat(proxy.url)).status).toBe(200);
    expect(upstream.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer dead', 'Bearer alive']);
  });

  it('none is reached: refused, and the request given back', async () => {
    const proxy = await proxyFor([makeChannelRecord('http://127.0.0.1:9')], { keys: [limited()] });
    const response = await postChat(proxy.url);
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([503, 'upstream_unavailable']);
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 0, refundRequest: true })]);
  });

  it('a Channel that points to a metadata service is never connected to', async () => {
    const proxy = await proxyFor([makeChannelRecord('http://169.254.169.254')]);
    const response = await postChat(proxy.url);
    expect(response.status).toBe(503);
    expect(proxy.accessLines()[0]).toMatchObject({ attempts: 0 });
  });
});

it('a bug is answered with the request id and nothing else, and settles', async () => {
  const upstream = await upstreamThat(answering);
  const proxy = await proxyFor([makeChannelRecord(upstream.url, { authHeader: undefined as unknown as string })], { keys: [limited()] });
  const response = await postChat(proxy.url);
  const { error } = (await response.json()) as { error: { message: string; code: string } };
  expect([response.status, error.code]).toEqual([500, 'internal']);
  expect(error.message).toBe(`unexpected error (request ${response.headers.get('x-request-id')})`);
  expect(proxy.counters.settlements).toEqual([expect.objectContaining({ refundRequest: true })]);
  expect(proxy.logText()).toContain('a bug ended a request');
});
