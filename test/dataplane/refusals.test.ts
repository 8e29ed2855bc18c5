import Anthropic, * as anthropicErrors from '@anthropic-ai/sdk';
import OpenAI, * as openaiErrors from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, hello, manifestsFor, startGateway } from './gateway.ts';

let gateway: Gateway;

const keys = {
  open: '{}',
  'only-gpt': '{ access: { models: ["gpt-4o*"] } }',
  'only-claude': '{ access: { models: ["claude-*"] } }',
  'openai-channel': '{ access: { channels: [openai] } }',
  'anthropic-channel': '{ access: { channels: [anthropic] } }',
  'openai-provider': '{ access: { providers: [OpenAI] } }',
  'anthropic-provider': '{ access: { providers: [Anthropic] } }',
  'far-away': '{ access: { cidrs: ["192.0.2.0/24", "2001:db8::/32"] } }',
  'right-here': '{ access: { cidrs: ["127.0.0.0/8"] } }',
  'read-only': '{ access: { scopes: [read] } }',
  embedder: '{ access: { scopes: [embeddings] } }',
  suspended: '{ suspended: true }',
  expiring: '{ expiresAt: "2020-01-01T00:00:00Z" }',
  limited: '{ limits: { rpm: 1 } }',
  'token-limited': '{ limits: { tpm: 1 } }',
};

beforeAll(async () => {
  gateway = await startGateway({ manifests: (provider) => manifestsFor(provider, keys) });
});
afterAll(async () => {
  await gateway.stop();
});

const openai = async (name: string): Promise<OpenAI> =>
  new OpenAI({ baseURL: `${gateway.address}/v1`, apiKey: await gateway.key(name), maxRetries: 0 });
const anthropic = async (name: string): Promise<Anthropic> =>
  new Anthropic({ baseURL: gateway.address, apiKey: await gateway.key(name), maxRetries: 0 });

async function chat(name: string, model = 'gpt-4o-mini'): Promise<unknown> {
  return (await openai(name)).chat.completions.create({ model, messages: hello });
}
async function message(name: string, model = 'claude-sonnet-4-5'): Promise<unknown> {
  return (await anthropic(name)).messages.create({ model, max_tokens: 8, messages: hello });
}

describe('refusals in the words of the official SDKs', () => {
  const table = [
    {
      what: 'a model',
      call: () => chat('only-gpt', 'o3'),
      error: openaiErrors.PermissionDeniedError,
      code: 'model_not_allowed',
      status: 403,
    },
    {
      what: 'a model',
      call: () => message('only-claude', 'other-model'),
      error: anthropicErrors.PermissionDeniedError,
      type: 'permission_error',
      status: 403,
    },
    { what: 'a channel', call: () => chat('anthropic-channel'), error: openaiErrors.NotFoundError, code: 'channel_not_found', status: 404 },
    {
      what: 'a channel',
      call: () => message('openai-channel'),
      error: anthropicErrors.NotFoundError,
      type: 'not_found_error',
      status: 404,
    },
    {
      what: 'a provider',
      call: () => chat('anthropic-provider'),
      error: openaiErrors.NotFoundError,
      code: 'channel_not_found',
      status: 404,
    },
    {
      what: 'a provider',
      call: () => message('openai-provider'),
      error: anthropicErrors.NotFoundError,
      type: 'not_found_error',
      status: 404,
    },
    { what: 'an address', call: () => chat('far-away'), error: openaiErrors.PermissionDeniedError, code: 'ip_not_allowed', status: 403 },
    {
      what: 'an address',
      call: () => message('far-away'),
      error: anthropicErrors.PermissionDeniedError,
      type: 'permission_error',
      status: 403,
    },
    { what: 'a scope', call: () => chat('read-only'), error: openaiErrors.PermissionDeniedError, code: 'scope_not_allowed', status: 403 },
    {
      what: 'a scope',
      call: () => message('embedder'),
      error: anthropicErrors.PermissionDeniedError,
      type: 'permission_error',
      status: 403,
    },
    {
      what: 'a suspended key',
      call: () => chat('suspended'),
      error: openaiErrors.PermissionDeniedError,
      code: 'key_suspended',
      status: 403,
    },
    {
      what: 'a suspended key',
      call: () => message('suspended'),
      error: anthropicErrors.PermissionDeniedError,
      type: 'permission_error',
      status: 403,
    },
    { what: 'an expired key', call: () => chat('expiring'), error: openaiErrors.AuthenticationError, code: 'key_expired', status: 401 },
    {
      what: 'an expired key',
      call: () => message('expiring'),
      error: anthropicErrors.AuthenticationError,
      type: 'authentication_error',
      status: 401,
    },
  ];
  it.each(table)('$what is refused with $status: $code$type', async ({ call, error, status, code, type }) => {
    const failure = await call().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(failure).toBeInstanceOf(error);
    expect(failure).toMatchObject({ status });
    if (code !== undefined) expect(failure).toMatchObject({ code });
    if (type !== undefined) expect(failure).toMatchObject({ error: { type: 'error', error: { type } } });
  });

  it('an unknown key is an authentication error in both', async () => {
    const unknown = { apiKey: 'sk-kw-unknown', maxRetries: 0 };
    await expect(new OpenAI({ ...unknown, baseURL: `${gateway.address}/v1` }).models.list()).rejects.toBeInstanceOf(
      openaiErrors.AuthenticationError,
    );
    await expect(
      new Anthropic({ ...unknown, baseURL: gateway.address }).messages.create({ model: 'x', max_tokens: 1, messages: hello }),
    ).rejects.toBeInstanceOf(anthropicErrors.AuthenticationError);
  });

  it('a rate limit is a RateLimitError with its headers, and requests and tokens are told apart', async () => {
    await chat('limited');
    const refused = await chat('limited').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(openaiErrors.RateLimitError);
    expect(refused).toMatchObject({ status: 429, code: 'rate_limit_exceeded', type: 'requests' });
    const headers = (refused as openaiErrors.APIError).headers;
    expect(Number(headers?.get('retry-after-ms'))).toBeGreaterThan(0);
    expect(headers?.get('x-ratelimit-limit-requests')).toBe('1');
    expect(headers?.get('x-ratelimit-remaining-requests')).toBe('0');
    await expect(message('limited')).rejects.toBeInstanceOf(anthropicErrors.RateLimitError);

    await chat('token-limited');
    const tokens = await chat('token-limited').catch((error: unknown) => error);
    expect(tokens).toMatchObject({ status: 429, type: 'tokens' });
  });

  it('what is allowed is served', async () => {
    await expect(chat('only-gpt', 'gpt-4o-mini')).resolves.toMatchObject({ object: 'chat.completion' });
    await expect(message('only-claude')).resolves.toMatchObject({ type: 'message' });
    await expect(chat('right-here')).resolves.toBeDefined();
    await expect(chat('openai-channel')).resolves.toBeDefined();
    await expect((await openai('embedder')).embeddings.create({ model: 'text-embedding-3-small', input: 'x' })).resolves.toBeDefined();
    await expect((await openai('read-only')).models.list()).resolves.toBeDefined();
    await expect((await anthropic('open')).messages.countTokens({ model: 'claude-sonnet-4-5', messages: hello })).resolves.toMatchObject({
      input_tokens: expect.any(Number),
    });
  });
});

describe('ways round a restriction', () => {
  const body = (members: string): string => `{${members},"messages":[{"role":"user","content":"Hello"}]}`;
  const bodies = [
    ['a second model field', body('"model":"gpt-4o-mini","model":"o3"')],
    ['a second one in front', body('"model":"o3","model":"gpt-4o-mini"')],
    ['an escaped name', body('"model":"gpt-4o-mini","\\u006dodel":"o3"')],
    ['only an escaped name', body('"mod\\u0065l":"o3"')],
    ['a list of fall-backs', body('"model":"gpt-4o-mini","models":["o3"]')],
    ['a model in a tool', body('"model":"gpt-4o-mini","tools":[{"type":"image_generation","model":"o3"}]')],
    ['a second model in a tool', body('"model":"gpt-4o-mini","tools":[{"type":"x","model":"gpt-4o","model":"o3"}]')],
    ['a byte order mark', `\ufeff${body('"model":"gpt-4o-mini"')}`],
    ['a second document', `${body('"model":"gpt-4o-mini"')}{"model":"o3"}`],
    ['a model that is no string', body('"model":["o3"]')],
    ['a model with dots', body('"model":"gpt-4o/../o3"')],
  ] as const;
  it.each(bodies)('%s in the body', async (_what, text) => {
    const before = gateway.provider.requests.length;
    const answer = await fetch(`${gateway.address}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await gateway.key('only-gpt')}`, 'content-type': 'application/json' },
      body: text,
    });
    expect([400, 403]).toContain(answer.status);
    expect(await answer.json()).toMatchObject({ error: { code: expect.stringMatching(/^(invalid_request|model_not_allowed)$/) } });
    expect(gateway.provider.requests.length).toBe(before);
  });

  const targets = [
    '/v1%2fchat/completions',
    '/v1/chat%2Fcompletions',
    '/v1//chat/completions',
    '//v1/chat/completions',
    '/v1/chat/completions/',
    '/v1/./chat/completions',
    '/v1/files/../chat/completions',
    '/v1/%2e%2e/v1/chat/completions',
    '/v1/chat%5ccompletions',
    '/v1/chat/completions%00',
    'http://127.0.0.1/v1/chat/completions',
    '/V1/CHAT/COMPLETIONS',
    '/v1/files',
    '/v1/batches',
    '/v1/anything/else',
  ];
  it.each(targets)('the target %s', async (target) => {
    const before = gateway.provider.requests.length;
    const status = await rawStatus(target, await gateway.key('only-gpt'));
    expect([400, 404]).toContain(status);
    expect(gateway.provider.requests.length).toBe(before);
  });

  /** The target as written: fetch would tidy it up. */
  async function rawStatus(target: string, key: string): Promise<number> {
    const { connect } = await import('node:net');
    const { port } = new URL(gateway.address);
    const text = body('"model":"gpt-4o-mini"');
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(
      `POST ${target} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`,
    );
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    const line = Buffer.concat(chunks).toString().split('\r\n')[0] ?? '';
    return Number(line.split(' ')[1]);
  }
});
