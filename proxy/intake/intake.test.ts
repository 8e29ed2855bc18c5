import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilHolds } from '../../test/support/eventually.ts';
import { chatAnswer, chatBody, postChat } from '../../test/support/chat.ts';
import { openRaw } from '../../test/support/raw-client.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../../test/support/test-proxy.ts';
import { answerJson, startUpstream, type TestUpstream } from '../../test/support/test-upstream.ts';

let upstream: TestUpstream;
let proxy: TestProxy;
let impatient: TestProxy;
const maxBodyBytes = 100_000;

beforeAll(async () => {
  upstream = await startUpstream((_request, response) => answerJson(response, chatAnswer));
  proxy = await startTestProxy({
    channels: [makeChannelRecord(upstream.url)],
    keys: [makeKeyRecord({ access: { models: ['gpt-4o*'] }, limits: { rpm: 10_000 } })],
    settings: {
      maxBodyBytes,
      // of which one namespace gets three quarters
      maxBufferedBytes: 4 * maxBodyBytes,
      corsOrigins: ['https://app.example'],
    },
  });
  // a machine that is busy takes longer than that for requests that are sound
  impatient = await startTestProxy({
    channels: [makeChannelRecord(upstream.url)],
    keys: [makeKeyRecord()],
    settings: { maxBodyBytes, bodyPatienceMs: 300, headersTimeoutMs: 300 },
  });
});
afterAll(async () => {
  await proxy.stop();
  await impatient.stop();
  await upstream.close();
});

const auth = `Host: x\r\nAuthorization: Bearer ${keyText}\r\n`;
const text = JSON.stringify(chatBody);

async function codeOf(response: Response): Promise<string> {
  const body = (await response.json()) as { error: { code?: string; type?: string } };
  return body.error.code ?? body.error.type ?? '';
}

function post(body: string | Buffer, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${proxy.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json', ...headers },
    body: new Uint8Array(Buffer.from(body)),
  });
}

const bodyOf = (answer: string): unknown => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));

describe('targets', () => {
  it.each([
    '/v1/chat%2fcompletions',
    '/v1/chat%5ccompletions',
    '/v1//chat/completions',
    '//v1/chat/completions',
    '/v1/../v1/chat/completions',
    '/v1/%2e%2e/v1/chat/completions',
    '/v1/./chat/completions',
    '/v1/chat/completions%00',
    '/v1/chat\\completions',
    'http://other.example/v1/chat/completions',
    '/v1/chat/completions#x',
  ])('%s is refused with 400 before anything else', async (target) => {
    const before = upstream.requests.length;
    const client = openRaw(
      proxy.port,
      `POST ${target} HTTP/1.1\r\n${auth}Content-Type: application/json\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`,
    );
    const answer = await client.closed;
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(bodyOf(answer)).toMatchObject({ error: { type: 'invalid_request_error' } });
    expect(upstream.requests).toHaveLength(before);
  });

  it.each([
    ['POST', '/v1/batches', 404, 'endpoint_not_supported'],
    ['POST', '/v1/files', 404, 'endpoint_not_supported'],
    ['POST', '/v1/responses/compact', 404, 'endpoint_not_supported'],
    ['POST', '/v1/messages/batches', 404, 'endpoint_not_supported'],
    ['POST', '/openai/deployments/a/moderations', 404, 'endpoint_not_supported'],
    ['GET', '/v1/cachedContents', 404, 'endpoint_not_supported'],
    ['POST', '/v1/chat/completions/', 404, 'endpoint_not_supported'],
    ['GET', '/', 404, 'not_found'],
    ['GET', '/V1/chat/completions', 404, 'not_found'],
    ['GET', '/metrics', 404, 'not_found'],
    ['GET', '/v1/chat/completions', 405, 'method_not_allowed'],
    ['DELETE', '/v1/models', 405, 'method_not_allowed'],
    ['OPTIONS', '/v1/chat/completions', 405, 'method_not_allowed'],
    ['HEAD', '/v1/models', 405, ''],
  ])('%s %s is %i %s', async (method, path, status, code) => {
    const response = await fetch(`${proxy.url}${path}`, { method, headers: { authorization: `Bearer ${keyText}` } });
    expect(response.status).toBe(status);
    expect(response.headers.get('allow') ?? '').toMatch(status === 405 ? /^(GET|POST)$/ : /^$/);
    const seen = method === 'HEAD' ? code : await codeOf(response);
    expect(seen).toBe(code);
  });

  it('are answered in the dialect of prefix, version header or key place', async () => {
    const shape = async (path: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`${proxy.url}${path}`, { method: 'POST', headers });
      const body = (await response.json()) as { type?: string; error: { status?: string; code?: unknown } };
      return body.type === 'error' ? 'Anthropic' : typeof body.error.status === 'string' ? 'Gemini' : 'OpenAI';
    };
    expect(await shape('/nowhere')).toBe('OpenAI');
    expect(await shape('/nowhere', { 'anthropic-version': '2023-06-01' })).toBe('Anthropic');
    expect(await shape('/anthropic/nowhere')).toBe('Anthropic');
    expect(await shape('/nowhere', { 'x-goog-api-key': 'x' })).toBe('Gemini');
    expect(await shape('/nowhere?key=x')).toBe('Gemini');
    expect(await shape('/openai/nowhere?key=x')).toBe('OpenAI');
    expect(await shape('/v1/messages')).toBe('Anthropic');
    // another method of a path that several dialects share
    expect(await shape('/v1/models', { 'anthropic-version': '2023-06-01' })).toBe('Anthropic');
    expect(await shape('/v1/models/any?key=x')).toBe('Gemini');
    expect(await shape('/anthropic/v1/models')).toBe('Anthropic');
    expect(await shape('/v1beta/models')).toBe('Gemini');
    expect(await shape('/openai/v1/models', { 'anthropic-version': '2023-06-01' })).toBe('OpenAI');
    expect(await shape('/v1/keys/self', { 'anthropic-version': '2023-06-01' })).toBe('Anthropic');
    expect(await shape('/v1/models')).toBe('OpenAI');
  });

  it('a preflight of a listed origin is answered, of another it is not', async () => {
    const preflight = (origin: string) =>
      fetch(`${proxy.url}/v1/chat/completions`, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } });
    const allowed = await preflight('https://app.example');
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([200, 'https://app.example']);
    const refused = await preflight('https://evil.example');
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([405, null]);
  });

  it('a page of a listed origin may read every header, so that SDKs in browsers know what not to try again', async () => {
    const response = await fetch(`${proxy.url}/v1/chat/completions`, { method: 'POST', headers: { origin: 'https://app.example' } });
    expect(response.status).toBe(401);
    // as an answer to a request without credentials of the browser, which is the only kind that is let in, `*` means all
    expect(response.headers.get('access-control-expose-headers')).toBe('*');
    expect(response.headers.get('access-control-allow-credentials')).toBeNull();
  });

  it('an upgrade is ignored', async () => {
    const client = openRaw(
      proxy.port,
      `GET /v1/models HTTP/1.1\r\n${auth}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n`,
    );
    expect(await client.until((answer) => answer.includes('"object":"list"'))).toMatch(/^HTTP\/1\.1 200 /);
    client.socket.destroy();
  });
});

describe('the message', () => {
  it.each([
    ['a length beside chunks', `Content-Length: 5\r\nTransfer-Encoding: chunked\r\n`, 400],
    ['two lengths', `Content-Length: 5\r\nContent-Length: 6\r\n`, 400],
    ['a list of lengths', `Content-Length: 5, 5\r\n`, 400],
    ['another transfer coding', `Transfer-Encoding: gzip, chunked\r\n`, 400],
    ['headers above 16 KiB', `X-Long: ${'x'.repeat(17_000)}\r\n`, 431],
    ['a line that is no header', `nonsense\r\n`, 400],
  ])('%s is refused', async (_name, headers, status) => {
    const client = openRaw(
      proxy.port,
      `POST /v1/chat/completions HTTP/1.1\r\n${auth}Content-Type: application/json\r\n${headers}\r\n{"a":`,
    );
    const answer = await client.until((seen) => seen.includes('}}'));
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(bodyOf(answer)).toMatchObject({ error: { type: 'invalid_request_error' } });
    client.socket.destroy();
  });

  it.each([
    ['/anthropic/v1/messages', '', { type: 'error', error: { type: 'invalid_request_error' }, request_id: expect.any(String) }],
    ['/v1/messages', 'Anthropic-Version: 2023-06-01\r\n', { type: 'error' }],
    ['/gemini/v1beta/models/g:generateContent', '', { error: { code: 431, status: 'INVALID_ARGUMENT' } }],
    ['/v1/models?key=x', '', { error: { status: 'INVALID_ARGUMENT' } }],
  ])('at %s is refused in the form of its dialect', async (path, headers, expected) => {
    const client = openRaw(proxy.port, `POST ${path} HTTP/1.1\r\n${auth}${headers}X-Long: ${'x'.repeat(17_000)}\r\n\r\n`);
    const answer = await client.until((seen) => seen.includes('\r\n\r\n') && seen.trimEnd().endsWith('}'));
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(bodyOf(answer)).toMatchObject(expected);
    client.socket.destroy();
  });

  it('headers that do not come to an end are no 408', async () => {
    const answer = await openRaw(impatient.port, 'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n').closed;
    // not anywhere in the answer: a request id may hold these digits
    expect(answer).not.toMatch(/^HTTP\/1\.1 408/);
    expect(answer === '' || answer.startsWith('HTTP/1.1 400 ')).toBe(true);
  });

  it('a body that does not come to an end is refused', async () => {
    const client = openRaw(
      impatient.port,
      `POST /v1/chat/completions HTTP/1.1\r\n${auth}Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"model":`,
    );
    const answer = await client.until((seen) => seen.includes('}}'));
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer.toLowerCase()).toContain('connection: close');
    expect(answer).toContain('did not arrive in time');
    client.socket.destroy();
  });
});

describe('Expect: 100-continue', () => {
  const send = (path: string, headers: string) =>
    openRaw(
      proxy.port,
      `POST ${path} HTTP/1.1\r\n${headers}Content-Type: application/json\r\nContent-Length: ${text.length}\r\nExpect: 100-continue\r\n\r\n`,
    );

  it('is answered once key, address and scope are known, and then the body is read', async () => {
    const client = send('/v1/chat/completions', auth);
    expect(await client.until((seen) => seen.includes('\r\n\r\n'))).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.socket.write(text);
    expect(await client.until((seen) => seen.includes('chatcmpl-1'))).toContain('HTTP/1.1 200 OK');
    client.socket.destroy();
  });

  it.each([
    ['an unknown key', '/v1/chat/completions', 'Host: x\r\nAuthorization: Bearer sk-kw-unknown\r\n', 401],
    ['an odd target', '/v1//chat/completions', auth, 400],
    ['an unknown path', '/v1/nowhere', auth, 404],
  ])('is not asked for with %s', async (_name, path, headers, status) => {
    const client = send(path, headers);
    expect(await client.until((seen) => seen.includes('}}'))).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    client.socket.destroy();
  });

  it('is not asked for a body above the bound', async () => {
    const client = openRaw(
      proxy.port,
      `POST /v1/chat/completions HTTP/1.1\r\n${auth}Content-Type: application/json\r\nContent-Length: ${maxBodyBytes + 1}\r\nExpect: 100-continue\r\n\r\n`,
    );
    expect(await client.until((seen) => seen.includes('}}'))).toMatch(/^HTTP\/1\.1 413 /);
    client.socket.destroy();
  });
});

describe('bodies', () => {
  const padded = (bytes: number): string => JSON.stringify({ ...chatBody, user: 'x'.repeat(bytes) });

  it.each([
    ['gzip', gzipSync(text)],
    ['x-gzip', gzipSync(text)],
    ['deflate', deflateSync(text)],
    ['deflate', deflateRawSync(text)],
    ['br', brotliCompressSync(text)],
    ['zstd', zstdCompressSync(text)],
    ['identity', Buffer.from(text)],
  ])('in %s are decoded and forwarded as identity', async (coding, bytes) => {
    const response = await post(bytes, { 'content-encoding': coding });
    expect(response.status).toBe(200);
    const seen = upstream.requests.at(-1);
    expect(seen?.body).toBe(text);
    expect(seen?.headers['content-encoding']).toBeUndefined();
    expect(seen?.headers['content-length']).toBe(String(text.length));
  });

  it.each([
    ['compress', text, 415, 'unsupported_encoding'],
    ['gzip, gzip', gzipSync(gzipSync(text)), 415, 'unsupported_encoding'],
    ['gzip', 'no gzip at all', 400, 'invalid_request'],
    ['gzip', gzipSync(padded(10 * maxBodyBytes)), 413, 'request_too_large'],
    ['br', brotliCompressSync(padded(10 * maxBodyBytes)), 413, 'request_too_large'],
    ['zstd', zstdCompressSync(padded(10 * maxBodyBytes)), 413, 'request_too_large'],
    ['identity', padded(maxBodyBytes), 413, 'request_too_large'],
  ])('in %s that cannot be taken are refused (%#)', async (coding, bytes, status, code) => {
    const response = await post(bytes, { 'content-encoding': coding });
    expect([response.status, await codeOf(response)]).toEqual([status, code]);
  });

  it('in chunks are bounded as well', async () => {
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    const client = openRaw(
      proxy.port,
      `POST /v1/chat/completions HTTP/1.1\r\n${auth}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(8)}`,
    );
    expect(await client.until((seen) => seen.includes('}}'))).toMatch(/^HTTP\/1\.1 413 /);
    client.socket.destroy();
  });

  it('in chunks within the bound pass', async () => {
    const client = openRaw(
      proxy.port,
      `POST /v1/chat/completions HTTP/1.1\r\n${auth}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n${text.slice(0, 5)}\r\n${(text.length - 5).toString(16)}\r\n${text.slice(5)}\r\n0\r\n\r\n`,
    );
    expect(await client.until((seen) => seen.includes('chatcmpl-1'))).toContain('HTTP/1.1 200 OK');
    expect(upstream.requests.at(-1)?.body).toBe(text);
    client.socket.destroy();
  });

  it('that do not fit into the process together are refused for a while, and leave their room', async () => {
    const lines = proxy.accessLines().length;
    const open = Array.from({ length: 4 }, () => {
      const head = `POST /v1/chat/completions HTTP/1.1\r\n${auth}Content-Type: application/json\r\nContent-Length: ${maxBodyBytes}\r\n\r\n`;
      return openRaw(proxy.port, head + 'x'.repeat(maxBodyBytes - 10));
    });
    await Promise.any(
      open.map((client) => client.until((seen) => seen.startsWith('HTTP/1.1 503 ') && seen.includes('"code":"overloaded"'))),
    );
    expect(open.filter((client) => client.text() !== '')).toHaveLength(1);
    for (const client of open) client.socket.destroy();
    await untilHolds(() => expect(proxy.accessLines().slice(lines)).toHaveLength(open.length));
    for (const _ of open) expect((await post(padded(maxBodyBytes - 1000))).status).toBe(200);
  });

  it.each([
    ['application/json', 200],
    ['application/json; charset=utf-8', 200],
    ['application/vnd.api+json', 200],
    ['application/json; charset=latin1', 415],
    ['multipart/form-data; boundary=x', 415],
    ['text/plain', 415],
    ['nonsense', 415],
  ])('of type %s: %i', async (contentType, status) => {
    expect((await post(text, { 'content-type': contentType })).status).toBe(status);
  });

  it.each([
    ['a second model', '{"model":"gpt-4o","messages":[],"model":"o3"}', 400],
    ['an escaped model', '{"model":"gpt-4o","messages":[],"mod\\u0065l":"o3"}', 400],
    ['a model in another case', '{"model":"gpt-4o","messages":[],"Model":"o3"}', 400],
    ['a second object', '{"model":"gpt-4o","messages":[]}{"model":"o3"}', 400],
    ['a BOM', '\ufeff{"model":"gpt-4o","messages":[]}', 400],
    ['a model of another kind', '{"model":["gpt-4o"],"messages":[]}', 400],
    ['a path as model', '{"model":"../gpt-4o","messages":[]}', 400],
    ['no model', '{"messages":[]}', 400],
    ['a model that is not allowed', '{"model":"o3","messages":[]}', 403],
    ['one among the fallbacks', '{"model":"gpt-4o","models":["gpt-4o","o3"],"messages":[]}', 403],
    ['one inside a tool', '{"model":"gpt-4o","tools":[{"type":"x","model":"o3"}],"messages":[]}', 403],
    ['one escaped inside a tool', '{"model":"gpt-4o","tools":[{"type":"x","mod\\u0065l":"o3"}],"messages":[]}', 400],
  ])('with %s are no way round', async (_name, body, status) => {
    const before = upstream.requests.length;
    const settled = proxy.counters.settlements.length;
    const response = await post(body);
    expect(response.status).toBe(status);
    expect(upstream.requests).toHaveLength(before);
    expect(proxy.counters.settlements).toHaveLength(settled);
  });

  it('that nobody reads do not cost the connection when they are short', async () => {
    const client = openRaw(proxy.port, `POST /v1/nowhere HTTP/1.1\r\n${auth}Content-Length: ${text.length}\r\n\r\n${text}`);
    await client.until((seen) => seen.includes('}}'));
    client.socket.write(`GET /v1/models HTTP/1.1\r\n${auth}\r\n`);
    expect(await client.until((seen) => seen.includes('"object":"list"'))).toContain('HTTP/1.1 200 OK');
    client.socket.destroy();
  });

  it('that are never sent cost the connection, not a wait without end', async () => {
    const client = openRaw(proxy.port, `POST /v1/nowhere HTTP/1.1\r\n${auth}Content-Length: 5000\r\n\r\n{`);
    expect(await client.closed).toMatch(/^HTTP\/1\.1 404 /);
  });

  it('that end in the middle are nobody’s', async () => {
    const client = openRaw(
      proxy.port,
      `POST /v1/chat/completions HTTP/1.1\r\n${auth}Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"model"`,
    );
    const lines = proxy.accessLines().length;
    setTimeout(() => client.socket.destroy(), 50);
    await client.closed;
    await untilHolds(() => expect(proxy.accessLines().length).toBe(lines + 1));
    expect(proxy.accessLines().at(-1)).toMatchObject({ status: 499, aborted_by: 'client', attempts: 0 });
  });
});

it('a request that passes after all of this still does', async () => {
  expect((await postChat(proxy.url)).status).toBe(200);
});
