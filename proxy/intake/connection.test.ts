import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatAnswer, chatBody, postChat } from '../../test/support/chat.ts';
import { openRaw } from '../../test/support/raw-client.ts';
import { keyText, makeChannelRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../../test/support/test-proxy.ts';
import { answerJson, startUpstream, type TestUpstream } from '../../test/support/test-upstream.ts';
import { untilHolds } from '../../test/support/eventually.ts';
import { boundFlush } from '../answers/answer.ts';
import { answerParserError } from './client-error.ts';

let upstream: TestUpstream;
let proxy: TestProxy;

beforeAll(async () => {
  upstream = await startUpstream((request, response) => {
    if (!request.body.includes('"stream":true')) return answerJson(response, chatAnswer);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    // never ends: the test does
    response.write('data: {"choices":[]}\n\n');
  });
  proxy = await startTestProxy({ channels: [makeChannelRecord(upstream.url)] });
});
afterAll(async () => {
  await proxy.stop();
  await upstream.close();
});

const auth = `Authorization: Bearer ${keyText}\r\n`;
const text = JSON.stringify(chatBody);
const toChat = (headers: string, body = text, version = '1.1'): string =>
  `POST /v1/chat/completions HTTP/${version}\r\n${auth}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`;

describe('what is no request', () => {
  it('is refused when it asks for a tunnel', async () => {
    const client = openRaw(proxy.port, 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n');
    expect(await client.closed).toMatch(/^HTTP\/1\.1 400 .*x-request-id: req_.*"code":"invalid_request"/s);
  });

  it('behind a request that is still to be answered ends the connection, since its refusal would be taken for that answer', async () => {
    const client = openRaw(proxy.port, `${toChat('Host: a\r\n')}no request at all\r\n\r\n`);
    expect(await client.closed).not.toContain('invalid_request');
  });
});

describe('Host', () => {
  it.each([
    ['none', ''],
    ['two', 'Host: a\r\nhost: b\r\n'],
  ])('%s is refused like anything else, with a body and a request id', async (_name, headers) => {
    const client = openRaw(proxy.port, `GET /v1/models HTTP/1.1\r\n${auth}${headers}\r\n`);
    const answer = await client.until((seen) => seen.includes('}}'));
    expect(answer).toMatch(/^HTTP\/1\.1 400 .*x-request-id: req_.*"code":"invalid_request"/s);
    client.socket.destroy();
  });

  it('says nothing of another version, which is refused', async () => {
    const client = openRaw(proxy.port, toChat('Host: a\r\n', text, '2.0'));
    expect(await client.until((seen) => seen.includes('}}'))).toMatch(/^HTTP\/1\.1 400 .*"code":"invalid_request"/s);
    client.socket.destroy();
  });

  it('may be missing in HTTP/1.0', async () => {
    const client = openRaw(proxy.port, `GET /v1/models HTTP/1.0\r\n${auth}\r\n`);
    expect(await client.closed).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('Expect', () => {
  it('of something unknown is ignored', async () => {
    const client = openRaw(proxy.port, toChat('Host: x\r\nExpect: miracles\r\n'));
    expect(await client.until((seen) => seen.includes('chatcmpl-1'))).toMatch(/^HTTP\/1\.1 200 /);
    client.socket.destroy();
  });

  it('of HTTP/1.0 gets no interim answer', async () => {
    const client = openRaw(proxy.port, toChat('Expect: 100-continue\r\n', text, '1.0'));
    expect(await client.closed).toMatch(/^HTTP\/1\.1 200 /);
  });
});

it.each(['PURGE', 'PROPFIND', 'M-SEARCH', 'LINK', 'TRACE'])('%s on a path of ours is 405', async (method) => {
  const client = openRaw(proxy.port, `${method} /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${auth}\r\n`);
  expect(await client.until((seen) => seen.includes('}}'))).toMatch(/^HTTP\/1\.1 405 .*allow: POST/s);
  client.socket.destroy();
});

describe('a parser error', () => {
  it('does not write into an answer that has begun', async () => {
    const client = openRaw(
      proxy.port,
      toChat('Host: x\r\n', JSON.stringify({ ...chatBody, stream: true, stream_options: { include_usage: true } })),
    );
    await client.until((seen) => seen.includes('choices'));
    client.socket.write('\0 garbage\r\n\r\n');
    expect((await client.closed).match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  it('ends the connection although the client keeps its side open', async () => {
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
    const [socket] = (await once(server, 'connection')) as [Socket];
    const closed = once(socket.resume(), 'close');
    answerParserError(new Error('garbage'), socket, 'req_1');
    const [answer] = (await once(client, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /);
    await closed;
    client.destroy();
    server.close();
  });
});

describe('a key in the place of a model', () => {
  it.each([
    ['its own', keyText],
    ['any of our format', `sk-kw-${'a'.repeat(10)}-${'B'.repeat(49)}`],
  ])('(%s) is refused and shown nowhere', async (_name, model) => {
    const answers = [
      await postChat(proxy.url, { model, messages: [] }),
      await postChat(proxy.url, { model: 'gpt-4o', models: [model], messages: [] }),
      await fetch(`${proxy.url}/v1/models/${model}`, { headers: { authorization: `Bearer ${keyText}` } }),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(400);
      expect(await answer.text()).not.toContain(model);
    }
    expect(proxy.logText()).not.toContain(model);
  });
});

it('bounding the flush of an answer leaves no listener on a connection that lives on', async () => {
  const left: number[] = [];
  const server = createHttpServer((_request, response) => {
    response.write('x'.repeat(20_000_000));
    response.end();
    const { socket } = response;
    expect(response.writableLength).toBeGreaterThan(0);
    const before = socket?.listenerCount('timeout') ?? 0;
    boundFlush(response);
    response.on('close', () => left.push((socket?.listenerCount('timeout') ?? 0) - before));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect((await answer.arrayBuffer()).byteLength).toBe(20_000_000);
  await untilHolds(() => expect(left).toEqual([0]));
  server.close();
  server.closeAllConnections();
});
