import { setTimeout as sleep } from 'node:timers/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { untilHolds } from '../../test/support/eventually.ts';
import { chatBody, postChat } from '../../test/support/chat.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../../test/support/test-proxy.ts';
import { startUpstream, type TestUpstream, type UpstreamHandler } from '../../test/support/test-upstream.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function start(
  answer: UpstreamHandler,
  change: Partial<ChannelRecord> = {},
  settings = {},
): Promise<{ proxy: TestProxy; upstream: TestUpstream }> {
  const upstream = await startUpstream(answer);
  const proxy = await startTestProxy({
    channels: [makeChannelRecord(upstream.url, change)],
    keys: [makeKeyRecord({ limits: { rpm: 100, tpm: 1_000_000, concurrency: 10 } })],
    settings,
  });
  ends.push(
    () => upstream.close(),
    () => proxy.stop(),
  );
  return { proxy, upstream };
}

const streamBody = { ...chatBody, stream: true };
const delta = (content: string): string => `data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
const usageChunk = 'data: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}\n\n';
const eventStream = { 'content-type': 'text/event-stream' };

/** The stream's text piece by piece, as it arrives. */
async function* read(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) yield decoder.decode(chunk as Uint8Array, { stream: true });
}

/** A client of its own connection, for what fetch cannot do: reading nothing, hanging up. */
function postStream(proxy: TestProxy): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const headers = { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' };
  const request = httpRequest(`${proxy.url}/v1/chat/completions`, { method: 'POST', headers, agent: false }, resolve);
  request.on('error', reject);
  request.end(JSON.stringify(streamBody));
  return promise;
}

describe('a stream', () => {
  it('leaves chunk by chunk when it arrives, headers first', async () => {
    const next: (() => void)[] = [];
    const { proxy } = await start((_request, response) => {
      response.writeHead(200, eventStream).flushHeaders();
      next.push(
        () => response.write(delta('one')),
        () => response.end(`${delta('two')}data: [DONE]\n\n`),
      );
    });
    const response = await postChat(proxy.url, streamBody);
    expect([response.status, response.headers.get('content-type'), response.headers.get('content-length')]).toEqual([
      200,
      'text/event-stream',
      null,
    ]);
    const pieces = read(response);
    next[0]?.();
    expect((await pieces.next()).value).toBe(delta('one'));
    next[1]?.();
    expect((await pieces.next()).value).toBe(`${delta('two')}data: [DONE]\n\n`);
  });

  it('asks for usage behind the client, keeps the chunk back and books it', async () => {
    const { proxy, upstream } = await start((_request, response) => {
      response.writeHead(200, eventStream).end(`${delta('one')}${usageChunk}data: [DONE]\n\n`);
    });
    const response = await postChat(proxy.url, streamBody);
    expect(await response.text()).toBe(`${delta('one')}data: [DONE]\n\n`);
    expect(JSON.parse(upstream.requests[0]?.body ?? '')).toMatchObject({ stream_options: { include_usage: true } });
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 18 })]);
  });

  it('shows the usage chunk to a client that asked for it', async () => {
    const { proxy } = await start((_request, response) => {
      response.writeHead(200, eventStream).end(`${delta('one')}${usageChunk}data: [DONE]\n\n`);
    });
    const response = await postChat(proxy.url, { ...streamBody, stream_options: { include_usage: true } });
    expect(await response.text()).toBe(`${delta('one')}${usageChunk}data: [DONE]\n\n`);
  });

  it('stops the upstream while the client does not read', async () => {
    const piece = delta('x'.repeat(65_536));
    let written = 0;
    const { proxy } = await start((_request, response) => {
      response.writeHead(200, eventStream);
      const pump = (): void => {
        let goesOn = true;
        for (; goesOn && written < 500; written += 1) goesOn = response.write(piece);
        if (goesOn) response.end();
        else response.once('drain', pump);
      };
      pump();
    });
    const response = await postStream(proxy);
    let seen = -1;
    while (seen !== written) {
      seen = written;
      await sleep(150);
    }
    // 32 MB are on offer; what the sockets of two hops hold is all that may be under way
    expect(written).toBeLessThan(300);
    let bytes = 0;
    for await (const chunk of response) bytes += (chunk as Buffer).length;
    expect(bytes).toBe(500 * piece.length);
    expect(proxy.counters.settlements).toHaveLength(1);
  });

  it('whose client hangs up ends the upstream at once and books what had flowed, once', async () => {
    const { proxy, upstream } = await start((_request, response) => {
      response.writeHead(200, eventStream).write(delta('one') + delta('two'));
    });
    const response = await postStream(proxy);
    await new Promise((resolve) => response.once('data', resolve));
    response.destroy();
    await untilHolds(() => expect(upstream.aborted).toBe(1));
    await untilHolds(() => expect(proxy.accessLines()).toHaveLength(1));
    expect(proxy.counters.settlements).toHaveLength(1);
    const [settlement] = proxy.counters.settlements;
    expect(settlement?.tokens).toBeGreaterThanOrEqual(2 + 10);
    expect(settlement).toMatchObject({ refundRequest: false, concurrency: true });
    expect(proxy.accessLines()[0]).toMatchObject({ status: 200, aborted_by: 'client', output_tokens: 2 });
  });

  it('whose client hangs up before the answer ends the upstream as well; the input counts', async () => {
    const { proxy, upstream } = await start(() => {});
    const aborting = new AbortController();
    const call = fetch(`${proxy.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
      body: JSON.stringify(chatBody),
      signal: aborting.signal,
    });
    await untilHolds(() => expect(upstream.requests).toHaveLength(1));
    aborting.abort();
    await expect(call).rejects.toThrow();
    await untilHolds(() => expect(upstream.aborted).toBe(1));
    await untilHolds(() => expect(proxy.counters.settlements).toEqual([expect.objectContaining({ refundRequest: false })]));
    expect(proxy.counters.settlements[0]?.tokens).toBeGreaterThan(10);
    expect(proxy.accessLines()[0]).toMatchObject({ status: 499, aborted_by: 'client' });
  });

  it('that the provider breaks off ends with an error in the stream', async () => {
    const { proxy } = await start((_request, response) => {
      response.writeHead(200, eventStream).write(delta('one'), () => response.destroy());
    });
    const text = await (await postChat(proxy.url, streamBody)).text();
    expect(text.startsWith(delta('one'))).toBe(true);
    expect(JSON.parse(text.slice(text.lastIndexOf('data: ') + 6))).toMatchObject({ error: { code: 'upstream_unavailable' } });
    expect(proxy.counters.settlements).toHaveLength(1);
    expect(proxy.accessLines()[0]).toMatchObject({ aborted_by: 'upstream' });
  });

  it('that the provider breaks off inside an event ends with whole events, the error among them', async () => {
    const { proxy } = await start((_request, response) => {
      response.writeHead(200, eventStream).write(`${delta('one')}${delta('two').slice(0, 20)}`, () => response.destroy());
    });
    const text = await (await postChat(proxy.url, { ...streamBody, stream_options: { include_usage: true } })).text();
    const events = text.split(/\n\n+/).filter((event) => event !== '');
    expect(events.map((event) => JSON.parse(event.replace('data: ', '')) as unknown)).toEqual([
      expect.objectContaining({ choices: expect.anything() }),
      { error: expect.objectContaining({ code: 'upstream_unavailable' }) },
    ]);
  });

  it('that falls silent ends with an error in the stream', async () => {
    const { proxy } = await start((_request, response) => void response.writeHead(200, eventStream).write(delta('one')), {
      timeouts: { connectMs: 500, firstByteMs: 500, idleMs: 200, totalMs: 5000 },
    });
    expect(await (await postChat(proxy.url, streamBody)).text()).toContain('"code":"upstream_timeout"');
  });

  it('that takes too long as a whole ends with an error in the stream', async () => {
    const { proxy } = await start(
      (_request, response) => {
        response.writeHead(200, eventStream);
        const timer = setInterval(() => response.write(delta('one')), 20);
        response.on('close', () => clearInterval(timer));
      },
      { timeouts: { connectMs: 500, firstByteMs: 500, idleMs: 500, totalMs: 300 } },
    );
    expect(await (await postChat(proxy.url, streamBody)).text()).toContain('"code":"upstream_timeout"');
  });

  it('that is no stream is cut, so that nobody takes it for whole', async () => {
    const { proxy } = await start((_request, response) => {
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': '100000' })
        .write('{"choices":', () => response.destroy());
    });
    const response = await postChat(proxy.url);
    await expect(response.text()).rejects.toThrow();
    expect(proxy.counters.settlements).toHaveLength(1);
  });

  it('that is no stream and short is a refusal when it breaks off: none of it has reached the client', async () => {
    const { proxy, upstream } = await start((_request, response) => {
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
        .write('{"choices":', () => response.destroy());
    });
    expect((await postChat(proxy.url)).status).toBe(503);
    expect([upstream.requests.length, proxy.counters.settlements.length]).toEqual([1, 1]);
  });

  it.each([
    ['cut', {}, 503, 'upstream_unavailable'],
    ['silent', {}, 504, 'upstream_timeout'],
    ['garbled', { 'content-encoding': 'gzip' }, 503, 'upstream_unavailable'],
  ])('that is %s before its first byte is a refusal, counted and not tried again', async (fault, coding, status, code) => {
    const timeouts = { connectMs: 500, firstByteMs: 500, idleMs: 300, totalMs: 5_000 };
    const { proxy, upstream } = await start(
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100', ...coding }).flushHeaders();
        if (fault === 'cut') setTimeout(() => response.destroy(), 20);
        if (fault === 'garbled') response.write('this is no gzip');
      },
      { timeouts },
    );
    const response = await postChat(proxy.url);
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([status, code]);
    expect(upstream.requests).toHaveLength(1);
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ refundRequest: false })]);
    expect(proxy.counters.settlements[0]?.tokens).toBeGreaterThan(0);
  });

  it('books as it goes and renews its slot', async () => {
    const { proxy } = await start((_request, response) => {
      response.writeHead(200, eventStream).write(delta('one'));
      setTimeout(() => response.write(delta('two')), 1100);
      setTimeout(() => response.end(usageChunk), 2300);
    });
    await (await postChat(proxy.url, streamBody)).text();
    expect(proxy.counters.renewals.length).toBeGreaterThanOrEqual(2);
    expect(proxy.counters.renewals[1]?.tokens).toBeGreaterThan(proxy.counters.renewals[0]?.tokens ?? 0);
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 18 })]);
  });
});

describe('a key that ends', () => {
  it.each(['revoked', 'deleted'] as const)('%s ends its running streams with key_revoked, settled', async (reason) => {
    const { proxy, upstream } = await start((_request, response) => void response.writeHead(200, eventStream).write(delta('one')));
    const response = await postChat(proxy.url, streamBody);
    const pieces = read(response);
    await pieces.next();
    proxy.index.end('default/other', reason);
    proxy.index.end('default/app', reason, 'another credential');
    await sleep(50);
    expect(upstream.aborted).toBe(0);
    proxy.index.end('default/app', reason);
    let rest = '';
    for await (const piece of pieces) rest += piece;
    expect(rest).toContain('"code":"key_revoked"');
    await untilHolds(() => expect(upstream.aborted).toBe(1));
    expect(proxy.counters.settlements).toHaveLength(1);
    expect(proxy.accessLines()[0]).toMatchObject({ status: 200, refusal: 'key_revoked', aborted_by: 'gateway' });
  });

  it.each([
    ['Revoked', {}, 403, 'key_revoked'],
    ['Deleted', {}, 401, 'invalid_api_key'],
    ['Active', { ended: ['000000000001'] }, 401, 'invalid_api_key'],
  ] as const)('by a revocation (%s) beside the snapshot ends its streams too, and is refused', async (state, rest, status, code) => {
    const { proxy, upstream } = await start((_request, response) => void response.writeHead(200, eventStream).write(delta('one')));
    const pieces = read(await postChat(proxy.url, streamBody));
    await pieces.next();
    const revocation = { keyId: 'default/app', uid: 'u1', gen: 1, state, ended: [], ...rest } as const;
    // a suspension, a credential that this stream does not use, and an earlier object let it go on
    proxy.revocations.take({ ...revocation, state: 'Suspended', ended: ['000000000002'] });
    proxy.revocations.take({ ...revocation, uid: 'u0', state: 'Deleted', ended: [] });
    expect((await postChat(proxy.url, streamBody)).status).toBe(403);
    await sleep(50);
    expect(upstream.aborted).toBe(0);
    proxy.revocations.take({ ...revocation, gen: 2 });
    let text = '';
    for await (const piece of pieces) text += piece;
    expect(text).toContain('"code":"key_revoked"');
    await untilHolds(() => expect(upstream.aborted).toBe(1));
    expect(proxy.counters.settlements).toHaveLength(1);
    const refused = await postChat(proxy.url, streamBody);
    expect([refused.status, ((await refused.json()) as { error: { code: string } }).error.code]).toEqual([status, code]);
    // whoever lists models makes no call to Redis
    expect((await fetch(`${proxy.url}/v1/models`, { headers: { authorization: `Bearer ${keyText}` } })).status).toBe(status);
  });

  it('before its answer has begun is refused', async () => {
    const { proxy, upstream } = await start(() => {});
    const call = postChat(proxy.url, streamBody);
    await untilHolds(() => expect(upstream.requests).toHaveLength(1));
    proxy.index.end('default/app', 'revoked');
    const response = await call;
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([403, 'key_revoked']);
    await untilHolds(() => expect(upstream.aborted).toBe(1));
  });
});

describe('drain', () => {
  it('lets streams finish, tells new clients to go, and then closes', async () => {
    let finish = (): void => {};
    const { proxy } = await start((request, response) => {
      response.writeHead(200, eventStream).write(delta('one'));
      if (request.body.includes('slow')) finish = () => response.end(delta('two'));
      else response.end();
    });
    const slow = await postChat(proxy.url, { ...streamBody, user: 'slow' });
    const drained = proxy.proxy.drain();
    expect(proxy.proxy.readiness()).toEqual(['stopping']);
    const late = await postChat(proxy.url, streamBody);
    expect([late.status, late.headers.get('connection')]).toEqual([200, 'close']);
    finish();
    expect(await slow.text()).toBe(delta('one') + delta('two'));
    await drained;
    await expect(postChat(proxy.url)).rejects.toThrow();
    expect(proxy.counters.settlements).toHaveLength(2);
  });

  it('ends what takes longer than the drain time, settled', async () => {
    const { proxy, upstream } = await start(
      (_request, response) => void response.writeHead(200, eventStream).write(delta('one')),
      {},
      { drainMs: 100 },
    );
    const response = await postChat(proxy.url, streamBody);
    await proxy.proxy.drain();
    expect(await response.text()).toContain('"code":"overloaded"');
    expect(upstream.aborted).toBe(1);
    expect(proxy.counters.settlements).toHaveLength(1);
  });
});

it('refuses beyond the bound of requests in flight', async () => {
  const { proxy, upstream } = await start(() => {}, {}, { maxInFlight: 1, drainMs: 0 });
  const first = postChat(proxy.url);
  await untilHolds(() => expect(upstream.requests).toHaveLength(1));
  const second = await postChat(proxy.url);
  expect([second.status, ((await second.json()) as { error: { code: string } }).error.code]).toEqual([503, 'overloaded']);
  await proxy.proxy.drain();
  expect((await first).status).toBe(503);
});

it('of which a byte has reached the client goes on at no other channel, however it ends', async () => {
  const other = await startUpstream((_request, response) => void response.writeHead(200, eventStream).end(delta('from the other')));
  ends.push(() => other.close());
  const retries: ChannelRecord['retries'] = { attempts: 1, on: ['Reset', 'Timeout', 'ConnectFailure'] };
  const timeouts = { connectMs: 500, firstByteMs: 500, idleMs: 150, totalMs: 5000 };
  const { proxy, upstream } = await start(
    (request, response) => {
      response.writeHead(200, eventStream).write(delta('one'), () => request.body.includes('cut') && response.destroy());
    },
    { retries, timeouts },
  );
  proxy.index.channels = [...proxy.index.channels, makeChannelRecord(other.url, { id: 'default/other', priority: 1 })];
  for (const [calls, user, code] of [
    [1, 'cut', 'upstream_unavailable'],
    [2, 'silent', 'upstream_timeout'],
  ] as const) {
    const response = await postChat(proxy.url, { ...streamBody, user });
    const text = await response.text().catch(() => 'cut off');
    expect([upstream.requests.length, other.requests.length]).toEqual([calls, 0]);
    expect(text.startsWith(delta('one'))).toBe(true);
    expect(text).toContain(`"code":"${code}"`);
  }
  expect(proxy.counters.settlements).toHaveLength(2);
});
