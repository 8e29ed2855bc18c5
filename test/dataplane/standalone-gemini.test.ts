import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GoogleGenAI } from '@google/genai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilHolds } from '../support/eventually.ts';
import { type Gateway, providerSecret, startGateway } from './gateway.ts';

let upstream: Server;
let gateway: Gateway;
let client: GoogleGenAI;
const seen: { readonly url: string; readonly key: unknown }[] = [];

const recording = (name: string): Buffer => readFileSync(new URL(`../../proxy/dialects/testdata/${name}`, import.meta.url));

/** What Google answers, by the call. */
function answer(url: string, response: ServerResponse): void {
  const send = (type: string, body: Buffer | string): void => void response.writeHead(200, { 'content-type': type }).end(body);
  if (url.endsWith(':streamGenerateContent?alt=sse')) return send('text/event-stream', recording('gemini-thinking-tools.sse'));
  if (url.endsWith(':streamGenerateContent')) return send('application/json', recording('gemini-text-list.json'));
  if (url.endsWith(':generateContent')) return send('application/json', recording('gemini-grounded.json'));
  if (url.endsWith(':countTokens')) return send('application/json', '{"totalTokens":31}');
  if (url.endsWith(':batchEmbedContents')) return send('application/json', recording('gemini-embed-usage.json'));
  response
    .writeHead(404, { 'content-type': 'application/json' })
    .end('{"error":{"code":404,"message":"no such path","status":"NOT_FOUND"}}');
}

const manifests = (baseUrl: string): string => `
apiVersion: v1
kind: Secret
metadata: { name: gemini-key, labels: { keywright.dev/credential: "true" } }
stringData: { apiKey: ${providerSecret} }
---
apiVersion: keywright.dev/v1alpha1
kind: Channel
metadata: { name: gemini }
spec:
  provider: Gemini
  baseURL: ${baseUrl}
  tls: { allowPlaintext: true }
  auth: { apiKeys: [{ name: main, secretRef: { name: gemini-key, key: apiKey } }] }
  models:
    - { name: fast, upstreamName: gemini-2.5-flash }
    - { name: gemini-embedding-001 }
    - { name: gemini-3-pro-preview }
---
apiVersion: keywright.dev/v1alpha1
kind: VirtualKey
metadata: { name: app }
spec: { budgets: [{ period: Daily, limit: "1" }], delivery: { environment: [Gemini] } }
---
apiVersion: keywright.dev/v1alpha1
kind: VirtualKey
metadata: { name: slow }
spec: { limits: { rpm: 1 } }
`;

beforeAll(async () => {
  upstream = createServer((request, response) => {
    seen.push({ url: request.url ?? '', key: request.headers['x-goog-api-key'] });
    request.resume().on('end', () => answer(request.url ?? '', response));
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  gateway = await startGateway({ manifests: () => manifests(`http://127.0.0.1:${port}`) });
  client = makeClient(await gateway.key('app'));
});
afterAll(async () => {
  await gateway?.stop();
  upstream.closeAllConnections();
  upstream.close();
});

const makeClient = (apiKey: string): GoogleGenAI => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: gateway.address } });
const contents = 'Hello';

describe('Google’s own SDK over keywright standalone', () => {
  it('generates, by the client’s name of the model, and is charged', async () => {
    const given = await client.models.generateContent({ model: 'fast', contents, config: { maxOutputTokens: 100 } });
    expect([given.text, given.usageMetadata?.toolUsePromptTokenCount]).toEqual(['Germany won.', 24]);
    expect(seen.at(-1)).toEqual({ url: '/v1/models/gemini-2.5-flash:generateContent', key: providerSecret });
    const headers = given.sdkHttpResponse?.headers ?? {};
    // 36 tokens at 0.30 and 4 at 2.50 dollars a million, and two searches that the answer tells of
    expect(headers['x-keywright-cost-usd']).toBe('0.0700208');
    await untilHolds(() => expect(gateway.accessLines('app').at(-1)).toMatchObject({ input_tokens: 36, output_tokens: 4, model: 'fast' }));
  });

  it.each(['v1beta', 'v1'])('by version %s, under the name of the dialect too', async (apiVersion) => {
    const own = new GoogleGenAI({ apiKey: await gateway.key('app'), apiVersion, httpOptions: { baseUrl: `${gateway.address}/gemini` } });
    expect((await own.models.generateContent({ model: 'fast', contents })).text).toBe('Germany won.');
    expect(seen.at(-1)?.url).toBe(`/${apiVersion}/models/gemini-2.5-flash:generateContent`);
  });

  it('streams events', async () => {
    const parts = [];
    const stream = await client.models.generateContentStream({ model: 'gemini-3-pro-preview', contents });
    for await (const chunk of stream) parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []));
    expect(parts.map(({ text, functionCall }) => functionCall?.name ?? text)).toEqual(['I look for the weather.', 'weather', '']);
    await untilHolds(() => expect(gateway.accessLines('app').at(-1)).toMatchObject({ input_tokens: 2117, output_tokens: 54 }));
  });

  it('counts tokens for nothing and embeds', async () => {
    expect((await client.models.countTokens({ model: 'fast', contents })).totalTokens).toBe(31);
    await untilHolds(() => expect(gateway.accessLines('app').at(-1)?.['surface']).toBe('count_tokens'));
    expect(gateway.accessLines('app').at(-1)?.['cost_usd']).toBeUndefined();
    const { embeddings } = await client.models.embedContent({ model: 'gemini-embedding-001', contents: ['a', 'b'] });
    expect(embeddings?.map(({ values }) => values?.length)).toEqual([2, 2]);
    await untilHolds(() => expect(gateway.accessLines('app').at(-1)).toMatchObject({ input_tokens: 9, cost_usd: '0.00000135' }));
  });

  it('lists the models of the key, page by page, and gets one', async () => {
    const names = [];
    for await (const model of await client.models.list({ config: { pageSize: 2 } })) names.push(model.name);
    expect(names).toEqual(['models/fast', 'models/gemini-3-pro-preview', 'models/gemini-embedding-001']);
    expect((await client.models.get({ model: 'fast' })).name).toBe('models/fast');
    await expect(client.models.get({ model: 'gemini-9' })).rejects.toMatchObject({ status: 404 });
  });

  it('hears of a limit, of what is not offered and of what refers to the account', async () => {
    const slow = makeClient(await gateway.key('slow'));
    await slow.models.generateContent({ model: 'fast', contents });
    await expect(slow.models.generateContent({ model: 'fast', contents })).rejects.toMatchObject({
      status: 429,
      message: expect.stringContaining('RESOURCE_EXHAUSTED') as string,
    });
    await expect(client.caches.list()).rejects.toMatchObject({
      status: 404,
      message: expect.stringContaining('ENDPOINT_NOT_SUPPORTED') as string,
    });
    const fileData = { fileUri: 'https://generativelanguage.googleapis.com/v1beta/files/abc', mimeType: 'image/png' };
    await expect(client.models.generateContent({ model: 'fast', contents: [{ fileData }] })).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('UNSUPPORTED_REFERENCE') as string,
    });
  });
});

it('a list that streams is metered as well', async () => {
  const response = await fetch(`${gateway.address}/v1beta/models/fast:streamGenerateContent?key=${await gateway.key('app')}`, {
    method: 'POST',
    body: JSON.stringify({ contents: [{ parts: [{ text: 'Hello' }] }] }),
    headers: { 'content-type': 'application/json' },
  });
  expect((await response.json()) as unknown[]).toHaveLength(3);
  await untilHolds(() => expect(gateway.accessLines('app').at(-1)).toMatchObject({ output_tokens: 46, cost_usd: '0.0001186' }));
  expect(gateway.process.lines.map((line) => JSON.stringify(line)).join('\n')).not.toContain(providerSecret);
});
