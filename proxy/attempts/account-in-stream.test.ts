import { expect, it } from 'vitest';
import { Secret } from '../../core/secret.ts';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { chatBody } from '../../test/support/chat.ts';
import { keyText } from '../../test/support/records.ts';
import { useOneChannel } from '../../test/support/one-channel.ts';

const start = useOneChannel();
const pool = ['one', 'other'].map((name) => ({ name, weight: 1, secret: new Secret(`sk-${name}`) }));
const event = (data: object, name?: string): string => `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;
const secret = 'of organization org-acme';
const eventStream = { 'content-type': 'text/event-stream' };

interface Stream {
  readonly path: string;
  readonly body: object;
  readonly channel?: Partial<ChannelRecord>;
  readonly contentType?: string;
  readonly first: string;
  readonly error: string;
  /** the last words that the client gets in their place */
  readonly told: RegExp;
}

const chat: Stream = {
  path: '/v1/chat/completions',
  body: { ...chatBody, stream: true },
  first: event({ choices: [{ index: 0, delta: { content: 'Hi' } }] }),
  error: event({ error: { message: `You exceeded your current quota ${secret}`, type: 'insufficient_quota', code: 'insufficient_quota' } }),
  told: /\n\ndata: \{"error":\{"message":"The provider broke off its answer\.","type":"server_error","param":null,"code":"upstream_unavailable"\}\}\n\n$/,
};
const streams: Readonly<Record<string, Stream>> = {
  'chat completions': chat,
  responses: {
    path: '/v1/responses',
    body: { model: 'gpt-5', input: 'Hello', stream: true, store: false },
    first: event({ type: 'response.output_text.delta', sequence_number: 0, delta: 'Hi' }, 'response.output_text.delta'),
    error: event(
      { type: 'response.failed', sequence_number: 1, response: { error: { code: 'insufficient_quota', message: secret } } },
      'response.failed',
    ),
    told: /event: error\ndata: \{"type":"error","code":"upstream_unavailable"[^\n]*"sequence_number":1\}\n\n$/,
  },
  messages: {
    path: '/v1/messages',
    body: { model: 'claude', max_tokens: 10, stream: true, messages: [{ role: 'user', content: 'Hello' }] },
    channel: { provider: 'Anthropic', authHeader: 'x-api-key', authScheme: '' },
    first: event({ type: 'ping' }, 'ping'),
    error: event({ type: 'error', error: { type: 'authentication_error', message: secret } }, 'error'),
    told: /event: error\ndata: \{"type":"error","error":\{"type":"api_error"[^\n]*\}\n\n$/,
  },
  'streamGenerateContent in events': {
    path: '/v1beta/models/gemini:streamGenerateContent?alt=sse',
    body: { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] },
    channel: { provider: 'Gemini', authHeader: 'x-goog-api-key', authScheme: '' },
    first: event({ candidates: [{ content: { parts: [{ text: 'Hi' }] } }] }),
    error: event({ error: { code: 401, message: secret, status: 'UNAUTHENTICATED' } }),
    told: /data: \{"error":\{"code":503[^\n]*"status":"UNAVAILABLE"[^\n]*\}\n\n$/,
  },
  'streamGenerateContent in a list': {
    path: '/v1beta/models/gemini:streamGenerateContent',
    body: { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] },
    channel: { provider: 'Gemini', authHeader: 'x-goog-api-key', authScheme: '' },
    contentType: 'application/json',
    first: '[{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}\n',
    error: `,\n${JSON.stringify({ error: { code: 401, message: secret, status: 'UNAUTHENTICATED' } })}\n]\n`,
    told: /,\n\{"error":\{"code":503.*"status":"UNAVAILABLE".*\}\]$/s,
  },
};

const ask = (dialectPath: string): Record<string, string> =>
  dialectPath.startsWith('/v1beta') ? { 'x-goog-api-key': keyText, authorization: '' } : {};

it.each(Object.entries(streams))(
  'of %s shows nobody what it says of the account at last, and asks that account no more',
  async (_name, stream) => {
    const { path, body, channel = {}, first, error, told, contentType = 'text/event-stream' } = stream;
    const { proxy, upstream, post } = await start(
      (_request, response) => {
        response.writeHead(200, { 'content-type': contentType });
        response.write(first);
        // the error alone, and what a provider that is through does
        setImmediate(() => response.end(error));
      },
      { channel: { credentials: pool.slice(0, 1), ...channel } },
    );
    const response = await post(path, body, ask(path));
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text.startsWith(first)).toBe(true);
    expect(text).not.toContain('acme');
    expect(text).toMatch(told);
    if (contentType === 'application/json') expect(JSON.parse(text)).toHaveLength(2);
    // what came is charged
    expect(proxy.counters.settlements.map(({ tokens }) => tokens > 0)).toEqual([true]);
    expect((await post(path, body, ask(path))).status).toBe(503);
    expect(upstream.requests).toHaveLength(1);
  },
);

it('that ends in a throttle says so, and the next request goes to another account', async () => {
  const { upstream, post } = await start(
    (_request, response) => {
      response.writeHead(200, eventStream);
      const isFirst = upstream.requests.length === 1;
      response.end(isFirst ? chat.first + event({ error: { message: secret, code: 'rate_limit_exceeded' } }) : chat.first);
    },
    { channel: { credentials: pool } },
  );
  const text = await (await post(chat.path, chat.body)).text();
  expect(text).toMatch(/"code":"upstream_rate_limited"/);
  expect(text).not.toContain('acme');
  for (let count = 0; count < 5; count += 1) expect(await (await post(chat.path, chat.body)).text()).toBe(chat.first);
  const [used, ...later] = upstream.requests.map(({ headers }) => headers.authorization);
  expect(later.filter((credential) => credential === used)).toEqual([]);
});

it('that ends in an error of its own is passed on to its last byte', async () => {
  const error = event({ error: { message: 'The server had an error', type: 'server_error', code: 'server_error' } });
  const { post } = await start((_request, response) => response.writeHead(200, eventStream).end(chat.first + error));
  expect(await (await post(chat.path, chat.body)).text()).toBe(chat.first + error);
});
