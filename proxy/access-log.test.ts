import { describe, expect, it } from 'vitest';
import type { ChannelRecord, KeyRecord } from '../core/snapshot.ts';
import { chatAnswer, chatBody, postChat } from '../test/support/chat.ts';
import { untilHolds } from '../test/support/eventually.ts';
import { openRaw } from '../test/support/raw-client.ts';
import { keyText, makeChannelRecord, makeKeyRecord, providerText } from '../test/support/records.ts';
import type { TestProxyOptions } from '../test/support/test-proxy.ts';
import { answerJson, type UpstreamHandler } from '../test/support/test-upstream.ts';
import { type ProxyAndUpstream, useProxy } from '../test/support/use-proxy.ts';

const start = useProxy();

/** Texts that stand in what clients and providers send, and in no line. */
const prompt = 'the-words-of-the-prompt';
const answerText = 'the-words-of-the-answer';
const otherKey = 'sk-kw-9876543210zyxwvutsrqponmlkjihgfedcba';
const secrets = [keyText, otherKey, providerText, prompt, answerText, 'cookie-of-the-client', 'query-of-the-client'];

const body = { ...chatBody, messages: [{ role: 'user', content: prompt }] };
const answer = { ...chatAnswer, choices: [{ index: 0, message: { role: 'assistant', content: answerText }, finish_reason: 'stop' }] };
const answering: UpstreamHandler = (_request, response) => answerJson(response, answer);
/** 1,000 nano-dollars a token in, 2,000 out. */
const price = { input: 1e9, output: 2e9 };
const tags = { app: 'search', 'cost-centre': '42' };
const models: ChannelRecord['models'] = [{ name: 'gpt-4o-mini', price }];
const limited: KeyRecord['limits'] = { rpm: 100, tpm: 1_000_000 };

interface Outcome {
  readonly key?: Partial<KeyRecord>;
  readonly channels?: (url: string) => readonly ChannelRecord[];
  readonly settings?: TestProxyOptions['settings'];
  readonly upstream?: UpstreamHandler;
  readonly send?: (world: ProxyAndUpstream) => Promise<unknown>;
  /** beside request id, client address, dialect and timings */
  readonly line: Record<string, unknown>;
}

/** What every line of a request with a key has. */
const ofKey = { key: 'default/app', prefix: 'sk-kw-0123', tags };
const ofChat = { ...ofKey, surface: 'chat_completions' };
const ofModel = { ...ofChat, model: 'gpt-4o-mini', stream: false };
const charged = { input_tokens: 11, output_tokens: 7, cost_usd: '0.000025' };

const get = ({ proxy }: ProxyAndUpstream, path: string, headers: Record<string, string> = {}): Promise<unknown> =>
  fetch(`${proxy.url}${path}`, { headers: { authorization: `Bearer ${keyText}`, ...headers } });
const chat = ({ proxy }: ProxyAndUpstream, changes: object = {}, headers: Record<string, string> = {}): Promise<unknown> =>
  postChat(proxy.url, { ...body, ...changes }, { cookie: 'session=cookie-of-the-client', ...headers });

/** Sends bytes as they are and waits for the end of the connection. */
async function raw({ proxy }: ProxyAndUpstream, bytes: string): Promise<void> {
  const client = openRaw(proxy.port, bytes);
  await client.closed;
}

const outcomes: Readonly<Record<string, Outcome>> = {
  'at the door: bytes that are no request': {
    send: (world) => raw(world, `NO REQUEST ${keyText}\r\n\r\n`),
    line: { status: 400, refusal: 'invalid_request' },
  },
  'at the door: a tunnel': {
    send: (world) => raw(world, `CONNECT ${keyText}:443 HTTP/1.1\r\nHost: x\r\n\r\n`),
    line: { status: 400, refusal: 'invalid_request' },
  },
  'at the door: headers that are too large': {
    send: (world) =>
      raw(world, `GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${keyText}\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`),
    line: { status: 431, refusal: 'headers_too_large' },
  },
  'at the door: no host': {
    send: (world) => raw(world, `GET /v1/models?query-of-the-client HTTP/1.1\r\nConnection: close\r\n\r\n`),
    line: { status: 400, refusal: 'invalid_request' },
  },
  'at the door: an unknown path': { send: (world) => get(world, `/nowhere/${keyText}`), line: { status: 404, refusal: 'not_found' } },
  'at the door: an endpoint that is not supported': {
    send: (world) => get(world, '/v1/files'),
    line: { status: 404, refusal: 'endpoint_not_supported' },
  },
  'at the door: another method': {
    send: (world) => get(world, `/v1/chat/completions?key=${keyText}`),
    line: { status: 405, refusal: 'method_not_allowed' },
  },
  'at the door: too many at once': { settings: { maxInFlight: 0 }, line: { status: 503, refusal: 'overloaded' } },
  'at the door: what a browser asks before': {
    settings: { corsOrigins: ['https://app.example'] },
    send: ({ proxy }) =>
      fetch(`${proxy.url}/v1/chat/completions`, {
        method: 'OPTIONS',
        headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
      }),
    line: { status: 200 },
  },
  'authenticate: no key': {
    send: ({ proxy }) => fetch(`${proxy.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body) }),
    line: { surface: 'chat_completions', status: 401, refusal: 'invalid_api_key' },
  },
  'authenticate: an unknown key': {
    send: (world) => chat(world, {}, { authorization: `Bearer ${otherKey}` }),
    line: { surface: 'chat_completions', status: 401, refusal: 'invalid_api_key' },
  },
  'authenticate: two keys': {
    send: (world) => chat(world, {}, { 'x-api-key': otherKey }),
    line: { surface: 'chat_completions', status: 400, refusal: 'conflicting_keys' },
  },
  'authenticate: a key that has expired': { key: { expiresAt: 1 }, line: { ...ofChat, status: 401, refusal: 'key_expired' } },
  'authenticate: a key that was revoked': { key: { state: 'Revoked' }, line: { ...ofChat, status: 403, refusal: 'key_revoked' } },
  'authenticate: a key that is suspended': { key: { state: 'Suspended' }, line: { ...ofChat, status: 403, refusal: 'key_suspended' } },
  'authorize: the address': { key: { access: { cidrs: ['192.0.2.0/24'] } }, line: { ...ofChat, status: 403, refusal: 'ip_not_allowed' } },
  'authorize: the scope': { key: { access: { scopes: ['embeddings'] } }, line: { ...ofChat, status: 403, refusal: 'scope_not_allowed' } },
  'authorize: the coding of the body': {
    send: (world) => chat(world, {}, { 'content-encoding': 'rot13' }),
    line: { ...ofChat, status: 415, refusal: 'unsupported_encoding' },
  },
  'authorize: the size of the body': { settings: { maxBodyBytes: 10 }, line: { ...ofChat, status: 413, refusal: 'request_too_large' } },
  'authorize: a body that is no JSON': {
    send: ({ proxy }) => postChat(proxy.url, `{"model":"${prompt}`),
    line: { ...ofChat, status: 400, refusal: 'invalid_request' },
  },
  'authorize: the key in place of the model': {
    send: (world) => chat(world, { model: keyText }),
    line: { ...ofChat, status: 400, refusal: 'invalid_request' },
  },
  'authorize: the model': { key: { access: { models: ['o3'] } }, line: { ...ofModel, status: 403, refusal: 'model_not_allowed' } },
  'authorize: a model that nobody serves': {
    send: (world) => chat(world, { model: 'o3' }),
    line: { ...ofModel, model: 'o3', status: 404, refusal: 'model_not_found' },
  },
  'locate: a response of somebody else': {
    send: (world) => get(world, '/v1/responses/resp_1'),
    line: { ...ofKey, surface: 'response', stream: false, status: 404, refusal: 'not_found' },
  },
  'admit: a model that has no price': {
    key: { budgets: [{ period: 'Total', limitNanoUsd: 1e9, mode: 'Enforce', warnAt: [] }] },
    channels: (url) => [makeChannelRecord(url, { models: [{ name: 'gpt-4o-mini', upstreamName: 'nobody-knows-it' }] })],
    line: { ...ofModel, status: 403, refusal: 'model_not_priced' },
  },
  'admit: a limit': {
    key: { limits: { rpm: 0 } },
    line: { ...ofModel, status: 429, refusal: 'rate_limit_exceeded', limiter_time_ms: expect.any(Number) },
  },
  'admit: a budget': {
    key: { budgets: [{ period: 'Total', limitNanoUsd: 1, mode: 'Enforce', warnAt: [] }] },
    line: { ...ofModel, status: 429, refusal: 'insufficient_quota', limiter_time_ms: expect.any(Number) },
  },
  'admit: nobody who could say': {
    key: { limits: limited },
    send: (world) => {
      world.proxy.counters.answer = () => Promise.resolve({ outcome: 'unavailable' });
      return chat(world);
    },
    line: { ...ofModel, status: 503, refusal: 'limiter_unavailable' },
  },
  'admit: by the share of this proxy': {
    key: { limits: limited },
    send: (world) => {
      const refused = { outcome: 'refused', timeMs: 7, limitName: 'rpm', unit: 'requests', span: 'minute', limit: 1 } as const;
      world.proxy.counters.answer = () => Promise.resolve({ ...refused, retryAfterMs: 5, windows: [], degraded: true });
      return chat(world);
    },
    line: { ...ofModel, status: 429, refusal: 'rate_limit_exceeded', limiter_time_ms: 7, degraded: true },
  },
  'forward: nobody can be reached': {
    channels: () => [makeChannelRecord('http://127.0.0.1:9', { models, retries: { attempts: 0, on: [] } })],
    line: { ...ofModel, status: 503, refusal: 'upstream_unavailable', attempts: 1 },
  },
  'forward: the provider throttles': {
    upstream: (_request, response) => answerJson(response, { error: { message: prompt } }, 429),
    channels: (url) => [makeChannelRecord(url, { models, retries: { attempts: 0, on: [] } })],
    line: { ...ofModel, status: 429, refusal: 'upstream_rate_limited', attempts: 1, cost_usd: '0' },
  },
  'forward: the provider refuses our own credential and shows it': {
    upstream: (_request, response) => answerJson(response, { error: { message: `bad key ${providerText}` } }, 401),
    line: { ...ofModel, status: 503, refusal: 'upstream_unavailable', attempts: 1, cost_usd: '0' },
  },
  'forward: no answer in time': {
    upstream: () => {},
    channels: (url) => [
      makeChannelRecord(url, {
        models,
        retries: { attempts: 0, on: [] },
        timeouts: { connectMs: 2_000, firstByteMs: 50, idleMs: 5_000, totalMs: 30_000 },
      }),
    ],
    line: { ...ofModel, status: 504, refusal: 'upstream_timeout', attempts: 1, cost_usd: expect.any(String) },
  },
  'forward: the Channel is full': {
    channels: (url) => [makeChannelRecord(url, { models, limits: { rpm: 0 } })],
    line: { ...ofModel, status: 429, refusal: 'upstream_rate_limited' },
  },
  'the request itself is at fault, says the provider': {
    upstream: (_request, response) => answerJson(response, { error: { message: prompt } }, 400),
    line: { ...ofModel, channel: 'default/openai', status: 400, attempts: 1, cost_usd: '0' },
  },
  'a whole answer': {
    line: { ...ofModel, channel: 'default/openai', status: 200, ...charged, attempts: 1 },
  },
  'a whole answer that nobody has priced': {
    channels: (url) => [makeChannelRecord(url, { models: [{ name: 'gpt-4o-mini', upstreamName: 'nobody-knows-it' }] })],
    line: { ...ofModel, channel: 'default/openai', status: 200, input_tokens: 11, output_tokens: 7, attempts: 1 },
  },
  'a whole answer within limits': {
    key: { limits: limited },
    line: { ...ofModel, channel: 'default/openai', status: 200, ...charged, attempts: 1, limiter_time_ms: expect.any(Number) },
  },
  'an answer of the second Channel': {
    channels: (url) => [
      makeChannelRecord('http://127.0.0.1:9', { models }),
      makeChannelRecord(url, { id: 'default/second', priority: 1, models }),
    ],
    line: { ...ofModel, channel: 'default/second', status: 200, ...charged, attempts: 3 },
  },
  'a list of models': { send: (world) => get(world, '/v1/models?query-of-the-client'), line: { ...ofKey, surface: 'models', status: 200 } },
  'what a key has used': { send: (world) => get(world, '/v1/keys/self'), line: { ...ofKey, surface: 'key_self', status: 200 } },
};

const timings = ['duration_ms', 'ttfb_ms', 'overhead_ms'];
/** Of the log itself. */
const logged = ['level', 'time', 'name', 'msg', 'pid', 'hostname'];

/** A line without what differs from run to run, which is looked at here. */
function toRest(line: Record<string, unknown>): Record<string, unknown> {
  expect(line).toMatchObject({ event: 'access', client_address: '127.0.0.1', dialect: 'OpenAI' });
  expect(line['request_id']).toMatch(/^req_[0-9a-f]{32}$/);
  for (const name of timings) if (line[name] !== undefined) expect(line[name]).toBeGreaterThanOrEqual(0);
  const seen = [...logged, ...timings, 'event', 'request_id', 'client_address', 'dialect'];
  return Object.fromEntries(Object.entries(line).filter(([name]) => !seen.includes(name)));
}

async function startWith({ key, channels, settings, upstream = answering }: Omit<Outcome, 'line'>): Promise<ProxyAndUpstream> {
  return start(upstream, (url) => ({
    channels: channels?.(url) ?? [makeChannelRecord(url, { models })],
    keys: [makeKeyRecord({ tags, ...key })],
    settings: settings ?? {},
  }));
}

function expectNoSecret({ proxy }: ProxyAndUpstream): void {
  for (const secret of secrets) expect(proxy.logText()).not.toContain(secret);
}

describe('one access line, with all that is known and no secret', () => {
  it.each(Object.entries(outcomes))('%s', async (_name, { send = chat, line, ...given }) => {
    const world = await startWith(given);
    await send(world);
    await untilHolds(() => expect(world.proxy.accessLines()).toHaveLength(1));
    expect(toRest(world.proxy.accessLines()[0] ?? {})).toEqual({ attempts: 0, ...line });
    expectNoSecret(world);
  });
});

describe('a stream', () => {
  const delta = `data: {"choices":[{"index":0,"delta":{"content":"${answerText}"}}]}\n\n`;
  const usage = 'data: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}\n\n';
  const begin = (response: Parameters<UpstreamHandler>[1]): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(delta);
  };
  const ofStream = { ...ofModel, stream: true, channel: 'default/openai', status: 200, attempts: 1 };
  const estimated = { input_tokens: expect.any(Number), output_tokens: expect.any(Number), cost_usd: expect.any(String) };
  const streamBody = { ...body, stream: true };
  const one = async ({ proxy }: ProxyAndUpstream): Promise<Record<string, unknown>> => {
    await untilHolds(() => expect(proxy.accessLines()).toHaveLength(1));
    return toRest(proxy.accessLines()[0] ?? {});
  };

  it('that came to its end', async () => {
    const world = await startWith({
      upstream: (_request, response) => {
        begin(response);
        response.end(`${usage}data: [DONE]\n\n`);
      },
    });
    await (await postChat(world.proxy.url, streamBody)).text();
    expect(await one(world)).toEqual({ ...ofStream, ...charged });
    expect(world.proxy.accessLines()[0]).toMatchObject({ ttfb_ms: expect.any(Number), overhead_ms: expect.any(Number) });
    expectNoSecret(world);
  });

  it('that the client left', async () => {
    const world = await startWith({ upstream: (_request, response) => begin(response) });
    const leaving = new AbortController();
    const response = await fetch(`${world.proxy.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
      body: JSON.stringify(streamBody),
      signal: leaving.signal,
    });
    await response.body?.getReader().read();
    leaving.abort();
    expect(await one(world)).toEqual({ ...ofStream, ...estimated, aborted_by: 'client' });
    expectNoSecret(world);
  });

  it('that the client left before there was any of it', async () => {
    const world = await startWith({ upstream: () => {} });
    const leaving = new AbortController();
    const call = fetch(`${world.proxy.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
      body: JSON.stringify(streamBody),
      signal: leaving.signal,
    });
    await untilHolds(() => expect(world.upstream.requests).toHaveLength(1));
    leaving.abort();
    await expect(call).rejects.toThrow();
    const { channel: _none, ...line } = ofStream;
    expect(await one(world)).toEqual({ ...line, status: 499, aborted_by: 'client', cost_usd: expect.any(String) });
    expectNoSecret(world);
  });

  it('that the provider broke off', async () => {
    const world = await startWith({
      upstream: (_request, response) => {
        begin(response);
        setImmediate(() => response.destroy());
      },
    });
    await (await postChat(world.proxy.url, streamBody)).text();
    expect(await one(world)).toEqual({ ...ofStream, ...estimated, aborted_by: 'upstream' });
    expectNoSecret(world);
  });

  it('that ends because its key was revoked', async () => {
    const world = await startWith({ upstream: (_request, response) => begin(response) });
    const response = await postChat(world.proxy.url, streamBody);
    const rest = response.text();
    world.proxy.index.end('default/app', 'revoked');
    expect(await rest).toContain('key_revoked');
    expect(await one(world)).toEqual({ ...ofStream, ...estimated, aborted_by: 'gateway', refusal: 'key_revoked' });
    expectNoSecret(world);
  });

  it('that an answer of the second Channel is, when the first has broken off before a byte of it', async () => {
    const world = await startWith({
      upstream: (request, response) => {
        if (request.url.startsWith('/first')) return void response.destroy();
        begin(response);
        response.end(`${usage}data: [DONE]\n\n`);
      },
      channels: (url) => [
        makeChannelRecord(`${url}/first`, { models, retries: { attempts: 0, on: [] } }),
        makeChannelRecord(`${url}/second`, { id: 'default/second', priority: 1, models }),
      ],
    });
    await (await postChat(world.proxy.url, streamBody)).text();
    expect(await one(world)).toEqual({
      ...ofStream,
      ...charged,
      channel: 'default/second',
      attempts: 2,
      // the first may bill what it was sent
      cost_usd: expect.any(String),
    });
    expectNoSecret(world);
  });
});

it('the address is that of the client behind proxies that are trusted, and no text that they pass on', async () => {
  const world = await startWith({ settings: { trustedProxies: ['127.0.0.0/8'] } });
  await chat(world, {}, { 'x-forwarded-for': '203.0.113.9' });
  await chat(world, {}, { 'x-forwarded-for': `203.0.113.9, ${otherKey}` });
  await untilHolds(() => expect(world.proxy.accessLines()).toHaveLength(2));
  expect(world.proxy.accessLines().map((line) => line['client_address'])).toEqual(['203.0.113.9', '127.0.0.1']);
  expectNoSecret(world);
});

it('the dialect is that of the client, and a model that stands in the path is in the line', async () => {
  const gemini = { provider: 'Gemini', authHeader: 'x-goog-api-key', authScheme: '' } as const;
  const world = await startWith({
    upstream: (_request, response) =>
      answerJson(response, { usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 4, totalTokenCount: 7 } }),
    channels: (url) => [
      makeChannelRecord(url, { ...gemini, models: [{ name: 'gemini-x', price }] }),
      makeChannelRecord(url, { id: 'default/claude', provider: 'Anthropic', models: [{ name: 'claude-x', price }] }),
    ],
  });
  const headers = { 'x-api-key': keyText, 'content-type': 'application/json' };
  const contents = JSON.stringify({ contents: [{ role: 'user', parts: [{ text: prompt }] }] });
  await fetch(`${world.proxy.url}/v1beta/models/gemini-x:generateContent?key=${keyText}`, { method: 'POST', headers, body: contents });
  await fetch(`${world.proxy.url}/v1/messages`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ ...body, model: 'claude-x', max_tokens: 5 }),
  });
  await untilHolds(() => expect(world.proxy.accessLines()).toHaveLength(2));
  expect(world.proxy.accessLines()).toMatchObject([
    { dialect: 'Gemini', surface: 'generate_content', model: 'gemini-x', channel: 'default/openai', input_tokens: 3, output_tokens: 4 },
    { dialect: 'Anthropic', surface: 'messages', model: 'claude-x', channel: 'default/claude' },
  ]);
  expectNoSecret(world);
});

it('a body that is in no order has the line of its request, whose id the client is told', async () => {
  const world = await startWith({});
  const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${keyText}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const told = await openRaw(world.proxy.port, `${head}no length\r\n`).closed;
  await untilHolds(() => expect(world.proxy.accessLines()).toHaveLength(1));
  const [line = {}] = world.proxy.accessLines();
  expect(told).toContain(`x-request-id: ${String(line['request_id'])}`);
  expect(toRest(line)).toEqual({ ...ofChat, status: 499, aborted_by: 'client', attempts: 0 });
});
