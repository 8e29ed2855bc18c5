import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ChannelRecord, KeyRecord } from '../../../core/snapshot.ts';
import { openRaw } from '../../../test/support/raw-client.ts';
import { keyText, makeChannelRecord, makeKeyRecord, providerText } from '../../../test/support/records.ts';
import type { TestProxy } from '../../../test/support/test-proxy.ts';
import { answerJson, type UpstreamHandler } from '../../../test/support/test-upstream.ts';
import { untilHolds } from '../../../test/support/eventually.ts';
import { type ProxyAndUpstream, useProxy } from '../../../test/support/use-proxy.ts';

const startProxy = useProxy();

interface Given {
  readonly answer?: UpstreamHandler;
  readonly channel?: Partial<ChannelRecord>;
  readonly key?: Partial<KeyRecord>;
}

function start({ answer = answerWhole, channel = {}, key = {} }: Given = {}): Promise<ProxyAndUpstream> {
  const gemini = { id: 'default/gemini', provider: 'Gemini', authHeader: 'x-goog-api-key', authScheme: '' } as const;
  return startProxy(answer, (url) => ({
    channels: [makeChannelRecord(url, { ...gemini, ...channel })],
    keys: [makeKeyRecord({ limits: { rpm: 100, tpm: 1_000_000, concurrency: 10 }, ...key })],
  }));
}

const file = (name: string): Buffer => readFileSync(new URL(`../testdata/${name}`, import.meta.url));
const whole = JSON.parse(file('gemini-grounded.json').toString()) as object;
const answerWhole: UpstreamHandler = (_request, response) => answerJson(response, whole);
const hello = { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] };
const inJson = { 'content-type': 'application/json; charset=UTF-8' };
const events = { 'content-type': 'text/event-stream' };

function post(proxy: TestProxy, path: string, body: unknown = hello, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${proxy.url}${path}`, {
    method: 'POST',
    headers: { 'x-goog-api-key': keyText, 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

interface ErrorBody {
  readonly error: { readonly code: number; readonly status: string; readonly message: string; readonly details: { reason?: string }[] };
}

async function refused(response: Response): Promise<[number, string | undefined]> {
  const { error } = (await response.json()) as ErrorBody;
  expect(error.code).toBe(response.status);
  return [response.status, error.details[0]?.reason];
}

describe('a call', () => {
  it.each([
    ['/v1beta/models/gemini-3-flash:generateContent', '/v1beta/models/gemini-3-flash:generateContent'],
    ['/v1/models/gemini-3-flash:generateContent', '/v1/models/gemini-3-flash:generateContent'],
    ['/gemini/v1beta/models/gemini-3-flash:generateContent', '/v1beta/models/gemini-3-flash:generateContent'],
    ['/gemini/v1/models/gemini-3-flash:generateContent', '/v1/models/gemini-3-flash:generateContent'],
    ['/v1beta/models/a:b:generateContent', '/v1beta/models/a%3Ab:generateContent'],
    ['/v1beta/models/gemini-3-flash%3AgenerateContent', '/v1beta/models/gemini-3-flash:generateContent'],
  ])('%s reaches %s with the bytes of the client, and is booked', async (path, upstreamPath) => {
    const { proxy, upstream } = await start();
    const body = '{ "contents" : [{"parts":[{"text":"H\\u0065llo"}]}] }';
    const response = await post(proxy, path, body);
    expect([response.status, await response.json()]).toEqual([200, whole]);
    expect(upstream.requests).toEqual([expect.objectContaining({ url: upstreamPath, body })]);
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 40 })]);
    expect(proxy.counters.settlements[0]?.event).toMatchObject({ dialect: 'Gemini', usage: { inputTokens: 36, webSearches: 2 } });
  });

  it('carries the Channel’s credential and none of the client’s; of Google’s headers only that of the SDK', async () => {
    const { proxy, upstream } = await start();
    await post(proxy, `/v1beta/models/m:generateContent?key=${keyText}&alt=json&fields=candidates&$alt=proto`, hello, {
      'x-goog-api-client': 'google-genai-sdk/3.3.0',
      'x-goog-user-project': 'p',
      'x-goog-fieldmask': 'candidates',
      authorization: `Bearer ${keyText}`,
    });
    const [request] = upstream.requests;
    expect(request?.url).toBe('/v1beta/models/m:generateContent?alt=json');
    expect(request?.headers['x-goog-api-key']).toBe(providerText);
    expect(Object.keys(request?.headers ?? {}).filter((name) => name.startsWith('x-goog-'))).toEqual([
      'x-goog-api-client',
      'x-goog-api-key',
    ]);
    expect(JSON.stringify(request)).not.toContain(keyText);
  });

  it('goes to the provider’s name of the model, everywhere where it stands, and comes back as it is', async () => {
    const models = [{ name: 'fast', upstreamName: 'gemini-3-flash' }];
    const { proxy, upstream } = await start({ channel: { models } });
    await post(proxy, '/v1beta/models/fast:generateContent');
    await post(proxy, '/v1beta/models/fast:countTokens', { generateContentRequest: { model: 'models/fast', ...hello } });
    const content = { parts: [{ text: 'x'.repeat(5000) }] };
    const requests = [{ model: 'models/fast', content }, { content }, { content, model: 'fast' }];
    await post(proxy, '/v1beta/models/fast:batchEmbedContents', { requests });
    expect(upstream.requests.map(({ url, body }) => [url, JSON.parse(body)])).toEqual([
      ['/v1beta/models/gemini-3-flash:generateContent', hello],
      ['/v1beta/models/gemini-3-flash:countTokens', { generateContentRequest: { model: 'models/gemini-3-flash', ...hello } }],
      [
        '/v1beta/models/gemini-3-flash:batchEmbedContents',
        {
          requests: [{ model: 'models/gemini-3-flash', content }, { content }, { content, model: 'models/gemini-3-flash' }],
        },
      ],
    ]);
  });

  it('to count tokens costs nothing; embeddings cost their estimated input', async () => {
    const { proxy } = await start({
      answer: ({ url }, response) => {
        if (url.includes('countTokens')) answerJson(response, { totalTokens: 31 });
        else response.writeHead(200, inJson).end(file('gemini-embed.json'));
      },
    });
    expect(await (await post(proxy, '/v1beta/models/m:countTokens')).json()).toEqual({ totalTokens: 31 });
    await post(proxy, '/v1beta/models/m:embedContent', { content: { parts: [{ text: 'x'.repeat(400) }] } });
    expect(proxy.counters.settlements.map(({ tokens }) => tokens)).toEqual([0, 100]);
  });
});

describe('a call is refused', () => {
  const file = (uri: unknown, field = 'fileUri'): object => ({ contents: [{ parts: [{ fileData: { [field]: uri } }] }] });

  it.each([
    ['another model in the body', 'generateContent', { ...hello, model: 'models/dear' }, 'INVALID_REQUEST'],
    ['another model within', 'countTokens', { generateContentRequest: { ...hello, model: 'models/dear' } }, 'INVALID_REQUEST'],
    ['another model in a batch', 'batchEmbedContents', { requests: [{ model: 'models/m' }, { model: 'dear' }] }, 'INVALID_REQUEST'],
    ['both spellings', 'generateContent', { ...hello, generationConfig: {}, generation_config: {} }, 'INVALID_REQUEST'],
    [
      'both spellings within',
      'generateContent',
      { ...hello, generationConfig: { maxOutputTokens: 1, max_output_tokens: 9 } },
      'INVALID_REQUEST',
    ],
    ['a third spelling', 'generateContent', { ...hello, Generation_config: {} }, 'INVALID_REQUEST'],
    ['a cached content', 'generateContent', { ...hello, cachedContent: 'cachedContents/x' }, 'UNSUPPORTED_REFERENCE'],
    ['one in snake case', 'generateContent', { ...hello, cached_content: 'x' }, 'UNSUPPORTED_REFERENCE'],
    ['one within', 'countTokens', { generateContentRequest: { ...hello, cachedContent: 'cachedContents/x' } }, 'UNSUPPORTED_REFERENCE'],
    [
      'a file of the account',
      'generateContent',
      file('https://generativelanguage.googleapis.com/v1beta/files/abc'),
      'UNSUPPORTED_REFERENCE',
    ],
    ['one by its name', 'generateContent', file('files/abc', 'file_uri'), 'UNSUPPORTED_REFERENCE'],
    ['one in a bucket', 'generateContent', file('gs://bucket/files/a.mp4'), 'UNSUPPORTED_REFERENCE'],
    ['one by its path', 'generateContent', file('/v1beta/files/abc'), 'UNSUPPORTED_REFERENCE'],
    ['one by an odd address', 'generateContent', file('HTTPS://x@Generativelanguage.googleapis.com:443/files/a'), 'UNSUPPORTED_REFERENCE'],
    [
      'a store of files',
      'generateContent',
      { ...hello, tools: [{ fileSearch: { fileSearchStoreNames: ['fileSearchStores/x'] } }] },
      'UNSUPPORTED_REFERENCE',
    ],
    ['no number', 'generateContent', { ...hello, generationConfig: { maxOutputTokens: 'many' } }, 'INVALID_REQUEST'],
    ['no object', 'generateContent', { ...hello, generationConfig: [] }, 'INVALID_REQUEST'],
    ['no list', 'generateContent', { ...hello, generationConfig: { responseModalities: 'IMAGE' } }, 'INVALID_REQUEST'],
    ['no tools', 'generateContent', { ...hello, tools: ['x'] }, 'INVALID_REQUEST'],
    ['no requests', 'batchEmbedContents', { requests: {} }, 'INVALID_REQUEST'],
  ])('for %s', async (_what, verb, body, reason) => {
    const { proxy, upstream } = await start();
    expect(await refused(await post(proxy, `/v1beta/models/m:${verb}`, body))).toEqual([400, reason]);
    expect(upstream.requests).toEqual([]);
  });

  it.each([
    ['a doubled member', '{"contents":[],"contents":[]}', 'INVALID_REQUEST'],
    ['a doubled member within', '{"generationConfig":{"candidateCount":1,"candidateCount":8}}', 'INVALID_REQUEST'],
    ['a doubled model within', '{"generateContentRequest":{"model":"dear","model":"models/m"}}', 'INVALID_REQUEST'],
    ['an escaped member', '{"generation\\u0043onfig":{}}', 'INVALID_REQUEST'],
    [
      'a file behind another',
      '{"contents":[{"parts":[{"fileData":{"fileUri":"files/a"},"fileData":{"fileUri":"https://x.example/"}}]}]}',
      'UNSUPPORTED_REFERENCE',
    ],
    ['an escaped file', '{"contents":[{"parts":[{"fileData":{"f\\u0069leUri":"files\\/a"}}]}]}', 'UNSUPPORTED_REFERENCE'],
  ])('for %s', async (_what, body, reason) => {
    const { proxy } = await start();
    expect(await refused(await post(proxy, '/v1beta/models/m:generateContent', body))).toEqual([400, reason]);
  });

  it.each(['https://www.youtube.com/watch?v=abc', 'https://example.com/files/a.png', 'https://storage.googleapis.com/bucket/files/a.png'])(
    'but not for a file that anybody may read: %s',
    async (uri) => {
      const { proxy, upstream } = await start();
      const text = 'the text "fileUri":"files/abc" and {"cachedContent":"cachedContents/x"}';
      const body = { contents: [{ parts: [{ text }, { fileData: { fileUri: uri, mimeType: 'image/png' } }] }] };
      expect((await post(proxy, '/v1beta/models/m:generateContent', body)).status).toBe(200);
      expect(upstream.requests).toHaveLength(1);
    },
  );

  it.each([
    ['POST', '/v1beta/models/m:predict', 404, 'ENDPOINT_NOT_SUPPORTED'],
    ['POST', '/v1/models/m:batchGenerateContent', 404, 'ENDPOINT_NOT_SUPPORTED'],
    ['POST', '/v1beta/tunedModels/m:generateContent', 404, 'ENDPOINT_NOT_SUPPORTED'],
    ['POST', '/v1beta/cachedContents', 404, 'ENDPOINT_NOT_SUPPORTED'],
    ['GET', '/gemini/v1beta/files/abc', 404, 'ENDPOINT_NOT_SUPPORTED'],
    ['POST', '/v1beta/interactions', 404, 'ENDPOINT_NOT_SUPPORTED'],
    ['POST', '/v1alpha/models/m:generateContent', 404, 'ENDPOINT_NOT_SUPPORTED'],
    ['POST', '/v1beta/nowhere', 404, 'NOT_FOUND'],
    ['POST', '/v1beta/models/m', 405, 'METHOD_NOT_ALLOWED'],
    ['POST', '/v1beta/models', 405, 'METHOD_NOT_ALLOWED'],
    ['DELETE', '/v1beta/models/m:generateContent', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/v1beta/models/m:generateContent', 404, 'MODEL_NOT_FOUND'],
    ['POST', '/v1beta/models/:generateContent', 400, 'INVALID_REQUEST'],
    ['POST', '/v1beta/models/m:generateContent?alt=proto', 400, 'INVALID_REQUEST'],
    ['POST', '/v1beta/models/m:generateContent?alt=json&alt=sse', 400, 'INVALID_REQUEST'],
    ['POST', `/v1beta/models/${keyText}:generateContent`, 400, 'INVALID_REQUEST'],
  ])('%s %s: %i %s', async (method, path, status, reason) => {
    const { proxy } = await start({ channel: { models: [{ name: 'm' }] } });
    const response = await fetch(`${proxy.url}${path}`, {
      method,
      headers: { 'x-goog-api-key': keyText, 'content-type': 'application/json' },
      ...(method === 'POST' ? { body: JSON.stringify(hello) } : {}),
    });
    expect(await refused(response)).toEqual([status, reason]);
    if (path.startsWith('/v1beta/models/m:gen') && status === 405) expect(response.headers.get('allow')).toBe('GET, POST');
    expect(proxy.logText()).not.toContain(keyText);
  });

  it('by the key’s models, without a key, with a wrong one', async () => {
    const { proxy } = await start({ key: { access: { models: ['gemini-3-*'] } } });
    expect(await refused(await post(proxy, '/v1beta/models/gemini-2.5-pro:generateContent'))).toEqual([403, 'MODEL_NOT_ALLOWED']);
    expect(await refused(await fetch(`${proxy.url}/v1beta/models/m:generateContent`, { method: 'POST', body: '{}' }))).toEqual([
      403,
      'API_KEY_MISSING',
    ]);
    expect(await refused(await post(proxy, '/v1beta/models/m:generateContent', hello, { 'x-goog-api-key': 'AIza-wrong' }))).toEqual([
      400,
      'API_KEY_INVALID',
    ]);
  });

  it('by a limit, which says what is full and when it frees', async () => {
    const { proxy } = await start({ key: { limits: { rpm: 1 } } });
    await post(proxy, '/v1beta/models/m:generateContent');
    const response = await post(proxy, '/v1beta/models/m:generateContent');
    const { error } = (await response.json()) as ErrorBody;
    expect([response.status, error.status]).toEqual([429, 'RESOURCE_EXHAUSTED']);
    expect(error.details.map((detail) => (detail as { '@type': string })['@type'].split('.').at(-1))).toEqual([
      'ErrorInfo',
      'QuotaFailure',
      'RetryInfo',
    ]);
    expect([...response.headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual(['ratelimit', 'ratelimit-policy']);
  });
});

/** The answer piece by piece, as it arrives. */
async function* read(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) yield decoder.decode(chunk as Uint8Array, { stream: true });
}

const streamPath = '/v1beta/models/gemini-2.5-flash:streamGenerateContent';

describe.each([
  { form: 'events', path: `${streamPath}?alt=sse`, headers: events, name: 'gemini-text.sse', between: '\r\n\r\n' },
  { form: 'a list', path: streamPath, headers: inJson, name: 'gemini-text-list.json', between: '\n,\r\n' },
])('a stream of $form', ({ path, headers, name, between }) => {
  const bytes = file(name);
  const cut = bytes.indexOf(between) + between.length;

  it('begins at once, leaves when it arrives, and is booked as it ends', async () => {
    const next: (() => void)[] = [];
    const { proxy, upstream } = await start({
      answer: (_request, response) => {
        response.writeHead(200, headers).flushHeaders();
        next.push(
          () => response.write(bytes.subarray(0, cut)),
          () => response.end(bytes.subarray(cut)),
        );
      },
    });
    const response = await post(proxy, path);
    expect([response.status, response.headers.get('content-length')]).toEqual([200, null]);
    const pieces = read(response);
    next[0]?.();
    expect((await pieces.next()).value).toBe(bytes.subarray(0, cut).toString());
    next[1]?.();
    let rest = '';
    for await (const piece of pieces) rest += piece;
    expect(rest).toBe(bytes.subarray(cut).toString());
    expect(upstream.requests[0]?.url).toBe(path);
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 58 })]);
    expect(proxy.accessLines()[0]).toMatchObject({ stream: true, dialect: 'Gemini', surface: 'stream_generate_content' });
  });

  it('that is broken off says so in its own form, and is booked as far as it came', async () => {
    const { proxy } = await start({
      answer: (_request, response) => {
        response.writeHead(200, headers).write(bytes.subarray(0, cut), () => setTimeout(() => response.destroy(), 50));
      },
    });
    const response = await post(proxy, path);
    const text = await response.text();
    expect(text.startsWith(bytes.subarray(0, cut).toString())).toBe(true);
    const list =
      headers === events
        ? text
            .split(/\r?\n\r?\n/)
            .filter(Boolean)
            .map((each) => each.replace('data: ', ''))
        : [];
    const elements = (headers === events ? list.map((each) => JSON.parse(each) as unknown) : JSON.parse(text)) as unknown[];
    expect(elements).toHaveLength(2);
    expect(elements[1]).toMatchObject({ error: { code: 503, status: 'UNAVAILABLE' } });
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 46 })]);
  });

  it('is booked as it goes', async () => {
    const { proxy } = await start({
      answer: (_request, response) => {
        response.writeHead(200, headers).write(bytes.subarray(0, cut - 1));
        setTimeout(() => response.write(bytes.subarray(cut - 1, cut + 1)), 1100);
        setTimeout(() => response.end(bytes.subarray(cut + 1)), 1150);
      },
    });
    await (await post(proxy, path)).text();
    expect(proxy.counters.renewals[0]?.tokens).toBeGreaterThan(12);
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 58 })]);
  });

  it('whose key is revoked ends with that', async () => {
    const { proxy, upstream } = await start({
      answer: (_request, response) => void response.writeHead(200, headers).write(bytes.subarray(0, cut)),
    });
    const response = await post(proxy, path);
    const pieces = read(response);
    let text = String((await pieces.next()).value);
    proxy.index.end('default/app', 'revoked');
    for await (const piece of pieces) text += piece;
    expect(text).toContain('PERMISSION_DENIED');
    if (headers !== events) expect(JSON.parse(text)).toHaveLength(2);
    await untilHolds(() => expect(upstream.aborted).toBe(1));
  });

  it('whose client hangs up ends the upstream and is booked', async () => {
    const { proxy, upstream } = await start({
      answer: (_request, response) => void response.writeHead(200, headers).write(bytes.subarray(0, cut)),
    });
    const body = JSON.stringify(hello);
    const client = openRaw(
      proxy.port,
      `POST ${path} HTTP/1.1\r\nhost: x\r\nx-goog-api-key: ${keyText}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await client.until((text) => text.includes('usageMetadata'));
    client.socket.destroy();
    await untilHolds(() => expect(upstream.aborted).toBe(1));
    await untilHolds(() => expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 46 })]));
  });
});

it.each(['breaks off', 'ends without its bracket'])('a list that %s within an element ends as JSON', async (what) => {
  const bytes = file('gemini-text-list.json');
  const sent = bytes.subarray(0, bytes.indexOf('\n,\r\n') + 60);
  const { proxy } = await start({
    answer: (_request, response) => {
      response
        .writeHead(200, inJson)
        .write(sent, () => setTimeout(() => (what === 'breaks off' ? response.destroy() : response.end()), 50));
    },
  });
  const response = await post(proxy, streamPath);
  expect(await response.json()).toEqual([
    expect.objectContaining({ responseId: 'made-up-1' }),
    { error: expect.objectContaining({ code: 503 }) as object },
  ]);
  expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: expect.any(Number) as number })]);
});

describe('the list of models', () => {
  const models = ['gemini-2.5-flash', 'gemini-3-pro', 'gemini-embedding-001', 'gemini-*'].map((name) => ({ name }));
  const get = (proxy: TestProxy, path: string): Promise<Response> =>
    fetch(`${proxy.url}${path}`, { headers: path.includes('key=') ? {} : { 'x-goog-api-key': keyText } });
  const names = (body: unknown): string[] => (body as { models: { name: string }[] }).models.map(({ name }) => name);

  it.each(['/v1beta/models', '/gemini/v1beta/models', '/gemini/v1/models', '/v1/models', `/v1/models?key=${keyText}`])(
    'of %s is in Gemini’s shape',
    async (path) => {
      const { proxy } = await start({ channel: { models } });
      const body = (await (await get(proxy, path)).json()) as { models: object[] };
      expect(names(body)).toEqual(['models/gemini-2.5-flash', 'models/gemini-3-pro', 'models/gemini-embedding-001']);
      expect(Object.keys(body)).toEqual(['models']);
    },
  );

  it('is Gemini’s at its own path whatever header the key stands in', async () => {
    const { proxy } = await start({ channel: { models } });
    const response = await fetch(`${proxy.url}/v1beta/models`, { headers: { authorization: `Bearer ${keyText}` } });
    expect(names(await response.json())).toHaveLength(3);
  });

  it('comes in pages', async () => {
    const { proxy } = await start({ channel: { models } });
    const first = (await (await get(proxy, '/v1beta/models?pageSize=2')).json()) as { nextPageToken: string };
    expect(names(first)).toEqual(['models/gemini-2.5-flash', 'models/gemini-3-pro']);
    const second = (await (await get(proxy, `/v1beta/models?pageSize=2&pageToken=${first.nextPageToken}`)).json()) as object;
    expect([names(second), 'nextPageToken' in second]).toEqual([['models/gemini-embedding-001'], false]);
    expect(await refused(await get(proxy, '/v1beta/models?pageSize=all'))).toEqual([400, 'INVALID_REQUEST']);
  });

  it('has each one alone', async () => {
    const { proxy } = await start({ channel: { models: [{ name: 'gemini-3-pro' }] } });
    expect(await (await get(proxy, '/v1beta/models/gemini-3-pro')).json()).toMatchObject({ name: 'models/gemini-3-pro' });
    expect(await refused(await get(proxy, '/gemini/v1/models/gemini-9'))).toEqual([404, 'MODEL_NOT_FOUND']);
  });
});

it('searches are reserved however long the list of tools is', async () => {
  const models = [{ name: 'm', upstreamName: 'gemini-3-pro-preview', price: { input: 0, output: 0 } }];
  const { proxy } = await start({
    channel: { models },
    key: { budgets: [{ period: 'Daily', limitNanoUsd: 1e9, mode: 'Enforce', warnAt: [] }] },
  });
  const functionDeclarations = [{ name: 'f', description: 'x'.repeat(5000) }];
  await post(proxy, '/v1beta/models/m:generateContent', { ...hello, tools: [{ functionDeclarations }, { googleSearch: {} }] });
  expect(proxy.counters.admissions[0]?.money?.boundNanoUsd).toBe(140_000_000);
  expect(proxy.counters.settlements[0]?.money?.costNanoUsd).toBe(28_000_000);
});

it('a video that is forbidden takes the model from nobody; a model that is forbidden is left alone', async () => {
  const { proxy, upstream } = await start({
    answer: (request, response) =>
      request.body.includes('forbidden')
        ? void response
            .writeHead(403, inJson)
            .end('{"error":{"code":403,"message":"The caller does not have permission","status":"PERMISSION_DENIED"}}')
        : answerJson(response, whole),
  });
  const ask = async (...parts: object[]): Promise<number> =>
    (await post(proxy, '/v1beta/models/gemini-3-flash:generateContent', { contents: [{ parts }] })).status;
  expect(await ask({ fileData: { fileUri: 'https://www.youtube.com/watch?v=forbidden' } })).toBe(503);
  expect(await ask({ file_data: { file_uri: 'https://storage.example/forbidden.mp4' } })).toBe(503);
  expect(await ask({ text: 'Hello' })).toBe(200);
  expect(await ask({ text: 'forbidden' })).toBe(503);
  const before = upstream.requests.length;
  expect([await ask({ text: 'Hello' }), upstream.requests.length]).toEqual([503, before]);
});
