import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRaw } from '../../test/support/raw-client.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../../test/support/test-proxy.ts';
import { answerJson, startUpstream, type TestUpstream } from '../../test/support/test-upstream.ts';
import { sha256Hex } from '../../runtime/digest.ts';

const maxBodyBytes = 200_000;
const chatOnly = 'sk-kw-chat0123456789abcdefghijklmnopqrstuvw';
const elsewhere = 'sk-kw-else0123456789abcdefghijklmnopqrstuvw';
let upstream: TestUpstream;
let proxy: TestProxy;

function makeOther(text: string, id: string, access: object) {
  const credential = { id, hash: sha256Hex(text), prefix: 'sk-kw', state: 'Active' } as const;
  return makeKeyRecord({ id: `default/${id}`, uid: id, credentials: [credential], access });
}

beforeAll(async () => {
  upstream = await startUpstream((_request, response) => answerJson(response, { text: 'Hello', usage: { type: 'duration', seconds: 1 } }));
  proxy = await startTestProxy({
    channels: [makeChannelRecord(upstream.url, { models: [{ name: 'short', upstreamName: 'xx--gpt-audio' }, { name: '*' }] })],
    keys: [
      makeKeyRecord({ access: { models: ['whisper-*', 'short'] } }),
      makeOther(chatOnly, '000000000002', { scopes: ['chat'] }),
      makeOther(elsewhere, '000000000003', { cidrs: ['192.0.2.0/24'] }),
    ],
    settings: { maxBodyBytes, maxBufferedBytes: 2 * maxBodyBytes, bodyPatienceMs: 300 },
  });
});
afterAll(async () => {
  await proxy.stop();
  await upstream.close();
});

const boundary = '----intake0123456789';
const part = (name: string, value: string, more = ''): string =>
  `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
const file = (bytes = 2000): string => part('file', 'a'.repeat(bytes), '; filename="a.mp3"');
const end = `--${boundary}--\r\n`;
const form = `${file()}${part('model', 'whisper-1')}${end}`;
const type = `multipart/form-data; boundary=${boundary}`;
const path = '/v1/audio/transcriptions';

async function post(body: string | Buffer, headers: Record<string, string> = {}): Promise<[number, string, string]> {
  const response = await fetch(`${proxy.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyText}`, 'content-type': type, ...headers },
    body: new Uint8Array(Buffer.from(body)),
  });
  const { error } = (await response.json()) as { error?: { code?: string; message?: string } };
  return [response.status, error?.code ?? '', error?.message ?? ''];
}

function head(key: string, lines: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n${lines}\r\n`;
}

describe('a form', () => {
  it('is forwarded byte by byte, with a content type of ours and without its coding', async () => {
    for (const [coding, bytes] of [
      ['identity', Buffer.from(form)],
      ['gzip', gzipSync(form)],
      ['zstd', zstdCompressSync(form)],
    ] as const) {
      expect(
        await post(bytes, { 'content-encoding': coding, 'content-type': `Multipart/Form-Data; charset=utf-8; boundary="${boundary}"` }),
      ).toEqual([200, '', '']);
      const seen = upstream.requests.at(-1);
      expect(seen?.body).toBe(form);
      expect(seen?.headers).toMatchObject({ 'content-type': type, 'content-length': String(form.length) });
      expect(seen?.headers['content-encoding']).toBeUndefined();
    }
  });

  it('of many pieces is forwarded in as many, with its length', async () => {
    const large = `${file(150_000)}${part('model', 'short')}${end}`;
    expect(await post(large)).toEqual([200, '', '']);
    const seen = upstream.requests.at(-1);
    expect(seen?.body).toBe(large.replace('\r\n\r\nshort\r\n', '\r\n\r\nxx--gpt-audio\r\n'));
    expect(seen?.headers['content-length']).toBe(String(seen?.body.length));
    expect(seen?.headers['transfer-encoding']).toBeUndefined();
  });

  it.each([
    ['a second model', `${form.slice(0, -end.length)}${part('model', 'o3')}${end}`, 400, 'invalid_request'],
    ['a model as a file', `${file()}${part('model', 'whisper-1', '; filename="m"')}${end}`, 400, 'invalid_request'],
    ['no end', form.slice(0, -end.length), 400, 'invalid_request'],
    ['a model that is not allowed', `${file()}${part('model', 'o3')}${end}`, 403, 'model_not_allowed'],
    ['a body above the bound', `${file(maxBodyBytes)}${part('model', 'whisper-1')}${end}`, 413, 'request_too_large'],
    ['JSON', '{"model":"whisper-1"}', 400, 'invalid_request'],
  ])('with %s is refused and leaves its room', async (_what, body, status, code) => {
    const before = upstream.requests.length;
    const settled = proxy.counters.settlements.length;
    // as often as would fill the room for bodies
    for (let index = 0; index < 4; index += 1) expect((await post(body)).slice(0, 2)).toEqual([status, code]);
    expect(upstream.requests).toHaveLength(before);
    expect(proxy.counters.settlements).toHaveLength(settled);
  });

  it.each([
    ['gzip', gzipSync(`${file(20 * maxBodyBytes)}${end}`)],
    ['zstd', zstdCompressSync(`${file(20 * maxBodyBytes)}${end}`)],
  ])('that unfolds out of %s without end is refused', async (coding, bytes) => {
    expect(bytes.length).toBeLessThan(maxBodyBytes / 10);
    expect((await post(bytes, { 'content-encoding': coding })).slice(0, 2)).toEqual([413, 'request_too_large']);
  });

  it('whose boundary stands in the provider’s name of the model is refused, and does not tell that name', async () => {
    const odd = form.replaceAll(boundary, 'gpt').replace('whisper-1', 'short');
    const [status, , message] = await post(odd, { 'content-type': 'multipart/form-data; boundary=gpt' });
    expect(status).toBe(400);
    expect(message).toContain('boundary');
    expect(message).not.toContain('audio');
  });

  it.each([
    ['a length beside chunks', `Content-Type: ${type}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n`],
    ['two lengths', `Content-Type: ${type}\r\nContent-Length: 5\r\nContent-Length: 6\r\n`],
  ])('with %s is refused', async (_what, lines) => {
    const client = openRaw(proxy.port, `${head(keyText, lines)}--${boundary}`);
    expect(await client.until((seen) => seen.includes('}}'))).toMatch(/^HTTP\/1\.1 400 /);
    client.socket.destroy();
  });

  it('that comes slowly, or in chunks without end, is refused', async () => {
    const slow = openRaw(proxy.port, `${head(keyText, `Content-Type: ${type}\r\nContent-Length: 5000\r\n`)}--${boundary}`);
    expect(await slow.until((seen) => seen.includes('}}'))).toMatch(/^HTTP\/1\.1 400 .*did not arrive in time/s);
    slow.socket.destroy();
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    const endless = openRaw(proxy.port, `${head(keyText, `Content-Type: ${type}\r\nTransfer-Encoding: chunked\r\n`)}${chunk.repeat(14)}`);
    expect(await endless.until((seen) => seen.includes('}}'))).toMatch(/^HTTP\/1\.1 413 /);
    endless.socket.destroy();
  });
});

describe('headers are looked at first', () => {
  const length = `Content-Length: ${form.length}\r\nExpect: 100-continue\r\n`;

  it('and the body is asked for when they are right', async () => {
    const client = openRaw(proxy.port, head(keyText, `Content-Type: ${type}\r\n${length}`));
    expect(await client.until((seen) => seen.includes('\r\n\r\n'))).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.socket.write(form);
    expect(await client.until((seen) => seen.includes('Hello'))).toContain('HTTP/1.1 200 OK');
    client.socket.destroy();
  });

  it.each([
    ['an unknown key', 'sk-kw-unknown', `Content-Type: ${type}\r\n${length}`, 401],
    ['a key without the scope', chatOnly, `Content-Type: ${type}\r\n${length}`, 403],
    ['a key of other addresses', elsewhere, `Content-Type: ${type}\r\n${length}`, 403],
    ['another type', keyText, `Content-Type: application/json\r\n${length}`, 415],
    ['no boundary', keyText, `Content-Type: multipart/form-data\r\n${length}`, 400],
    ['two boundaries', keyText, `Content-Type: ${type}; boundary=b\r\n${length}`, 400],
    ['a coding that is not undone', keyText, `Content-Type: ${type}\r\nContent-Encoding: compress\r\n${length}`, 415],
    ['a body above the bound', keyText, `Content-Type: ${type}\r\nContent-Length: ${maxBodyBytes + 1}\r\nExpect: 100-continue\r\n`, 413],
  ])('and it is not asked for with %s', async (_what, key, lines, status) => {
    const client = openRaw(proxy.port, head(key, lines));
    expect(await client.until((seen) => seen.includes('}}'))).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    client.socket.destroy();
  });
});

describe('a refusal while 30 MiB are being sent', () => {
  const bytes = 30 << 20;

  it('is read by a client that sends as fast as it can', async () => {
    const response = await fetch(`${proxy.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${chatOnly}`, 'content-type': type },
      body: new Uint8Array(bytes),
    });
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([403, 'scope_not_allowed']);
  });

  it('is read by a client that is slow, and reads nothing before it has sent all', async () => {
    const client = openRaw(proxy.port, head(chatOnly, `Content-Type: ${type}\r\nContent-Length: ${bytes}\r\n`));
    client.socket.pause();
    await once(client.socket, 'connect');
    const pieces = 12;
    for (let index = 0; index < pieces; index += 1) {
      // in all longer than a connection is kept on which nothing comes
      await wait(250);
      if (!client.socket.write(Buffer.alloc(bytes / pieces))) await once(client.socket, 'drain');
    }
    client.socket.resume();
    expect(await client.closed).toMatch(/^HTTP\/1\.1 403 .*scope_not_allowed/s);
  });

  it('ends the connection of a client that sends nothing more', async () => {
    const client = openRaw(proxy.port, `${head(chatOnly, `Content-Type: ${type}\r\nContent-Length: ${bytes}\r\n`)}x`);
    expect(await client.closed).toMatch(/^HTTP\/1\.1 403 /);
  });

  it('is read by Node’s own client', async () => {
    const request = httpRequest({
      port: proxy.port,
      method: 'POST',
      path,
      headers: { authorization: `Bearer ${chatOnly}`, 'content-type': type, 'content-length': bytes },
    });
    request.end(Buffer.alloc(bytes));
    const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer> & { statusCode: number }];
    let text = '';
    for await (const chunk of response) text += chunk.toString();
    expect([response.statusCode, text]).toEqual([403, expect.stringContaining('scope_not_allowed')]);
  });
});
