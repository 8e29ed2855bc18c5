import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { postChat } from '../../test/support/chat.ts';
import { makeChannelRecord } from '../../test/support/records.ts';
import { startTestProxy } from '../../test/support/test-proxy.ts';
import { answerJson } from '../../test/support/test-upstream.ts';
import { makeOutgoingBody } from './outgoing-body.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const large = { model: 'gpt-4o', messages: [{ role: 'user', content: 'x'.repeat(900_000) }] };

async function start(answer: (request: IncomingMessage, response: ServerResponse, number: number) => void) {
  let number = 0;
  const server = createServer((request, response) => answer(request, response, (number += 1)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const proxy = await startTestProxy({ channels: [makeChannelRecord(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)] });
  ends.push(() => proxy.stop());
  return proxy;
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

describe('a body on its way', () => {
  it('is one Buffer where it is small, and pieces of at most 64 KiB where it is not', () => {
    const one = Buffer.alloc(65_536);
    expect(makeOutgoingBody([one]).small).toBe(one);
    expect(makeOutgoingBody([Buffer.from('a'), Buffer.from('b')]).small?.toString()).toBe('ab');
    const body = makeOutgoingBody([Buffer.alloc(150_000), one]);
    expect([body.small, body.length]).toEqual([undefined, 215_536]);
    expect([...body].map(({ length }) => length)).toEqual([65_536, 65_536, 18_928, 65_536]);
    expect([...body]).toHaveLength(4);
    body.drop();
    expect([...body]).toEqual([]);
  });

  it('is sent with its length, and again as a whole where an attempt has failed', async () => {
    const seen: [string | undefined, string | undefined, boolean][] = [];
    const proxy = await start((request, response, number) => {
      void readAll(request).then((text) => {
        seen.push([request.headers['content-length'], request.headers['transfer-encoding'], text === JSON.stringify(large)]);
        if (number === 1) answerJson(response, { error: {} }, 500);
        else answerJson(response, { choices: [] });
      });
    });
    expect((await postChat(proxy.url, large)).status).toBe(200);
    const length = String(JSON.stringify(large).length);
    expect(seen).toEqual([
      [length, undefined, true],
      [length, undefined, true],
    ]);
  });

  it('whose provider answers before it has read it does not take the answer away', async () => {
    const proxy = await start((_request, response) =>
      answerJson(response, { error: { message: 'too long' } }, 400, { connection: 'close' }),
    );
    const response = await postChat(proxy.url, large);
    expect([response.status, await response.json()]).toEqual([400, { error: { message: 'too long' } }]);
    // and the proxy goes on
    expect((await postChat(proxy.url)).status).toBe(400);
  });

  it('whose provider hangs up in the middle of it is a failure of the provider', async () => {
    const proxy = await start((request) => request.once('data', () => request.socket.destroy()));
    expect((await postChat(proxy.url, large)).status).toBe(503);
  });
});
