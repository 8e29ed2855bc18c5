import fc from 'fast-check';
import { request as httpRequest } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { KeyLimits } from '../../core/snapshot.ts';
import { untilHolds } from '../../test/support/eventually.ts';
import { chatAnswer, chatBody, postChat } from '../../test/support/chat.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../../test/support/test-proxy.ts';
import { answerJson, startUpstream, type UpstreamHandler } from '../../test/support/test-upstream.ts';

type ProviderFault = 'whole' | 'stream' | 'throttle' | 'error' | 'credential' | 'fault' | 'reset' | 'cut' | 'cutStream' | 'silent';
type ClientFault = 'none' | 'leaveEarly' | 'leaveLate' | 'revoke' | 'badBody';

const eventStream = { 'content-type': 'text/event-stream' };
const chunk = 'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n';

/** One call with a client that behaves as told; resolves when its connection is over. */
function call(proxy: TestProxy, fault: ClientFault): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const headers = { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' };
  const request = httpRequest(`${proxy.url}/v1/chat/completions`, { method: 'POST', headers, agent: false });
  request.on('error', () => resolve()).on('close', () => resolve());
  request.on('response', (response) => {
    response.on('error', () => {}).on('close', () => resolve());
    response.once('data', () => {
      if (fault === 'leaveLate') request.destroy();
    });
    response.resume();
  });
  request.end(fault === 'badBody' ? '{"model":1}' : JSON.stringify({ ...chatBody, stream: true }));
  if (fault === 'leaveEarly') setTimeout(() => request.destroy(), 5);
  if (fault === 'revoke') setTimeout(() => proxy.index.end('default/app', 'revoked'), 10);
  return promise;
}

it('every admitted request is settled exactly once, whatever provider and client do', async () => {
  const script: ProviderFault[] = [];
  const upstream = await startUpstream((_request, response) => {
    const fault = script.shift() ?? 'whole';
    if (fault === 'whole') answerJson(response, chatAnswer);
    else if (fault === 'stream') response.writeHead(200, eventStream).end(`${chunk}data: [DONE]\n\n`);
    else if (fault === 'throttle') answerJson(response, {}, 429);
    else if (fault === 'error') answerJson(response, {}, 500);
    else if (fault === 'credential') answerJson(response, {}, 401);
    else if (fault === 'fault') answerJson(response, { error: {} }, 400);
    else if (fault === 'reset') response.destroy();
    else if (fault === 'cut') response.writeHead(200, { 'content-length': '50' }).write('{"id":', () => response.destroy());
    else if (fault === 'cutStream') response.writeHead(200, eventStream).write(chunk, () => response.destroy());
  });
  const timeouts = { connectMs: 200, firstByteMs: 100, idleMs: 100, totalMs: 500 };
  const channels = [
    makeChannelRecord(upstream.url, { timeouts }),
    makeChannelRecord('http://127.0.0.1:9', { id: 'default/away', priority: 1, timeouts }),
    makeChannelRecord(upstream.url, { id: 'default/third', priority: 2, timeouts }),
  ];
  const proxy = await startTestProxy({ channels, keys: [makeKeyRecord({ limits: { rpm: 100_000, tpm: 100_000_000, concurrency: 50 } })] });
  const faults = fc.constantFrom<ProviderFault>(
    'whole',
    'stream',
    'throttle',
    'error',
    'credential',
    'fault',
    'reset',
    'cut',
    'cutStream',
    'silent',
  );
  const clients = fc.constantFrom<ClientFault>('none', 'leaveEarly', 'leaveLate', 'revoke', 'badBody');
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.array(faults, { minLength: 4, maxLength: 12 }),
        fc.array(clients, { minLength: 1, maxLength: 6 }),
        async (plan, behaviours) => {
          script.splice(0, script.length, ...plan);
          const lines = proxy.accessLines().length;
          await Promise.all(behaviours.map((fault) => call(proxy, fault)));
          // a client that left early may have left before its request was on its way
          const certain = behaviours.filter((fault) => fault !== 'leaveEarly').length;
          await untilHolds(
            async () => {
              expect(proxy.accessLines().length).toBeGreaterThanOrEqual(lines + certain);
              expect(await proxy.metrics.registry.getSingleMetricAsString('keywright_in_flight_requests')).toMatch(/ 0$/);
            },
            { everyMs: 5 },
          );
          const { admissions, settlements } = proxy.counters;
          expect(settlements.map(({ requestId }) => requestId).toSorted()).toEqual(admissions.map(({ requestId }) => requestId).toSorted());
          expect(settlements.every(({ tokens }) => Number.isSafeInteger(tokens) && tokens >= 0)).toBe(true);
          expect(settlements.filter(({ tokens, refundRequest }) => refundRequest && tokens > 0)).toEqual([]);
        },
      ),
      { numRuns: 40, endOnFailure: true },
    );
  } finally {
    await proxy.stop();
    await upstream.close();
  }
}, 60_000);

describe('the usage event', () => {
  const ends: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });
  async function start(answer: UpstreamHandler, limits?: KeyLimits): Promise<TestProxy> {
    const upstream = await startUpstream(answer);
    ends.push(() => upstream.close());
    const channel = makeChannelRecord(upstream.url, { retries: { attempts: 0, on: [] } });
    const proxy = await startTestProxy({ channels: [channel], keys: [makeKeyRecord(limits === undefined ? {} : { limits })] });
    ends.push(() => proxy.stop());
    return proxy;
  }
  const events = (proxy: TestProxy): unknown[] => proxy.counters.settlements.map(({ event }) => event);

  it('tells what was used, also by a key without limits', async () => {
    const proxy = await start((_request, response) => answerJson(response, chatAnswer));
    const response = await postChat(proxy.url);
    expect(response.status).toBe(200);
    const event = {
      requestId: response.headers.get('x-request-id'),
      keyId: 'default/app',
      channel: 'default/openai',
      model: 'gpt-4o-mini',
      dialect: 'OpenAI',
      status: 200,
      usage: { inputTokens: 11, outputTokens: 7 },
      durationMs: expect.any(Number),
    };
    expect(events(proxy)).toEqual([expect.objectContaining({ ...event, usage: expect.objectContaining(event.usage) })]);
    // no limit, no question: only the settlement goes to the store
    expect(proxy.counters.admissions).toEqual([]);
  });

  it('has the status that the client is told', async () => {
    const proxy = await start((_request, response) => response.destroy());
    expect((await postChat(proxy.url)).status).toBe(503);
    expect(events(proxy)).toEqual([expect.objectContaining({ status: 503, usage: expect.objectContaining({ outputTokens: 0 }) })]);
  });

  it('is not told of what a limit refused', async () => {
    const proxy = await start((_request, response) => answerJson(response, chatAnswer), { rpm: 1 });
    await postChat(proxy.url);
    expect((await postChat(proxy.url)).status).toBe(429);
    expect(events(proxy)).toHaveLength(1);
  });

  it('of a client that hung up says so', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const proxy = await start(() => resolve());
    const controller = new AbortController();
    const call = fetch(`${proxy.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
      body: JSON.stringify(chatBody),
      signal: controller.signal,
    }).catch(() => undefined);
    await promise;
    controller.abort();
    await call;
    await untilHolds(() => expect(events(proxy)).toEqual([expect.objectContaining({ status: 499 })]));
  });
});
