import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../core/secret.ts';
import type { ChannelRecord, KeyRecord } from '../../core/snapshot.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy, type TestProxyOptions } from '../../test/support/test-proxy.ts';
import { startUpstream, type TestUpstream, type UpstreamHandler } from '../../test/support/test-upstream.ts';
import { untilHolds } from '../../test/support/eventually.ts';
import { type KeepingProvider, startKeepingProvider } from '../../test/support/keeping-provider.ts';
import { makeMemoryStoredObjects } from './memory.ts';
import type { StoredObjects } from './stored-objects.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const price = { input: 1e9, output: 10e9 };
const models = [{ name: '*', price }];
const pool = ['one', 'two', 'three'].map((name) => ({ name, weight: 1, secret: new Secret(`sk-provider-${name}`) }));

async function provider(): Promise<KeepingProvider> {
  const started = await startKeepingProvider();
  ends.push(() => started.close());
  return started;
}

async function upstreamThat(answer: UpstreamHandler): Promise<TestUpstream> {
  const upstream = await startUpstream(answer);
  ends.push(() => upstream.close());
  return upstream;
}

async function proxyFor(channels: readonly ChannelRecord[], more: Partial<TestProxyOptions> = {}): Promise<TestProxy> {
  const proxy = await startTestProxy({ channels, random: Math.random, ...more });
  ends.push(() => proxy.stop());
  return proxy;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly json: { readonly id: string; readonly error: { readonly code: string; readonly param: string | null } };
  readonly headers: Headers;
}

interface Given {
  readonly body?: object;
  readonly key?: string;
}

async function call(proxy: TestProxy, method: string, path: string, { body, key = keyText }: Given = {}): Promise<Answer> {
  const response = await fetch(`${proxy.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = (text.startsWith('{') ? JSON.parse(text) : {}) as Answer['json'];
  return { status: response.status, text, json, headers: response.headers };
}

const create = (proxy: TestProxy, body: object = {}, key = keyText): Promise<Answer> =>
  call(proxy, 'POST', '/v1/responses', { body: { model: 'gpt-5', input: 'Hello', ...body }, key });

/** Real, with a door in front. */
function makeGuarded(): StoredObjects & { open(): void; shut(): void; isAway: boolean; readonly noted: string[] } {
  const real = makeMemoryStoredObjects({ now: Date.now });
  let door = Promise.resolve();
  let openDoor = (): void => {};
  return {
    noted: [],
    isAway: false,
    get ready() {
      return !this.isAway;
    },
    async note(owner, ids, place) {
      await door;
      if (this.isAway) return false;
      this.noted.push(...ids);
      return real.note(owner, ids, place);
    },
    async find(owner, ids) {
      return this.isAway ? { outcome: 'unavailable' } : real.find(owner, ids);
    },
    forget: (owner, ids) => real.forget(owner, ids),
    shut() {
      door = new Promise((resolve) => {
        openDoor = resolve;
      });
    },
    open: () => openDoor(),
  };
}

describe('a response that the provider keeps', () => {
  it('can be read, listed, cancelled, continued and deleted, always with the credential that made it', async () => {
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url, { credentials: pool })]);
    for (let round = 0; round < 12; round += 1) {
      const { id } = (await create(proxy, round % 2 === 0 ? {} : { store: true })).json;
      expect(id).toMatch(/^resp_/);
      const before = upstream.requests.length;
      expect(await call(proxy, 'GET', `/v1/responses/${id}`)).toMatchObject({ status: 200, json: { id } });
      expect(await call(proxy, 'GET', `/v1/responses/${id}/input_items?limit=2&order=asc&secret=x`)).toMatchObject({ status: 200 });
      expect(await call(proxy, 'POST', `/v1/responses/${id}/cancel`)).toMatchObject({ status: 200, json: { id } });
      const next = await create(proxy, { previous_response_id: id });
      expect(next.status).toBe(200);
      expect(await call(proxy, 'DELETE', `/v1/responses/${id}`)).toMatchObject({ status: 200, json: { id, deleted: true } });
      expect((await call(proxy, 'GET', `/v1/responses/${id}`)).status).toBe(404);
      const seen = upstream.requests.slice(before);
      expect(new Set(seen.map(({ headers }) => headers.authorization)).size).toBe(1);
      expect(seen.map(({ method, url }) => `${method} ${url.replace(id, 'ID')}`)).toEqual([
        'GET /v1/responses/ID',
        'GET /v1/responses/ID/input_items?limit=2&order=asc',
        'POST /v1/responses/ID/cancel',
        'POST /v1/responses',
        'DELETE /v1/responses/ID',
      ]);
    }
    // several credentials of the pool were drawn, or nothing was proved
    expect(new Set(upstream.requests.map(({ headers }) => headers.authorization)).size).toBeGreaterThan(1);
  });

  it('the query of a retrieval goes on as far as it is known', async () => {
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url)]);
    const { id } = (await create(proxy)).json;
    await call(proxy, 'GET', `/v1/responses/${id}?stream=true&starting_after=4&include[]=a&include[]=b&api_key=x`);
    expect(upstream.requests.at(-1)?.url).toBe(`/v1/responses/${id}?stream=true&starting_after=4&include%5B%5D=a&include%5B%5D=b`);
  });

  it('with its items, which are pointed to by their ids, streamed or not, but not by those that a client may have chosen itself', async () => {
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url, { credentials: pool })]);
    for (const stream of [false, true]) {
      const { text } = await create(proxy, { stream });
      const [id = ''] = /resp_\w+/.exec(text) ?? [];
      const reference = {
        input: [
          { type: 'item_reference', id: `msg_${id.slice(5)}` },
          { type: 'reasoning', id: `rs_${id.slice(5)}`, summary: [] },
        ],
      };
      expect((await create(proxy, reference)).status).toBe(200);
      expect((await create(proxy, { input: [{ id: `${id}_in` }] })).status).toBe(404);
      await call(proxy, 'GET', `/v1/responses/${id}/input_items`);
      expect((await create(proxy, { input: [{ id: `${id}_in` }] })).status).toBe(404);
    }
  });

  it('is not noted where it is not kept, and what is refused with it is not sent', async () => {
    const upstream = await provider();
    const objects = makeGuarded();
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { storedObjects: objects });
    const { id } = (await create(proxy, { store: false })).json;
    expect(objects.noted).toEqual([]);
    expect((await call(proxy, 'GET', `/v1/responses/${id}`)).status).toBe(404);
    objects.isAway = true;
    expect((await create(proxy, { store: false })).status).toBe(200);
    expect(upstream.requests).toHaveLength(2);
  });

  it.each([
    ['GET', '/v1/responses/a.b', 400, 'invalid_request'],
    ['GET', `/v1/responses/${'a'.repeat(129)}`, 400, 'invalid_request'],
    ['DELETE', '/v1/responses/resp_%C3%A9', 400, 'invalid_request'],
    ['POST', '/v1/responses/compact', 404, 'endpoint_not_supported'],
    ['POST', '/v1/responses/input_tokens', 404, 'endpoint_not_supported'],
    ['GET', '/v1/responses/resp_1/other', 404, 'endpoint_not_supported'],
    ['GET', '/v1/responses/resp_1', 404, 'not_found'],
  ])('%s %s is refused', async (method, path, status, code) => {
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url)]);
    expect(await call(proxy, method, path)).toMatchObject({ status, json: { error: { code } } });
    expect(upstream.requests).toEqual([]);
  });
});

describe('whose it is', () => {
  const otherText = 'sk-kw-othertenant0123456789abcdefghijkl';
  const credentialOf = (text: string, id: string): KeyRecord['credentials'][number] => ({
    id,
    hash: sha256Hex(text),
    prefix: '',
    state: 'Active',
  });
  const other = makeKeyRecord({ id: 'other/app', uid: 'u2', credentials: [credentialOf(otherText, '000000000002')] });

  it('another key is told what it would be told of an id that never was', async () => {
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { keys: [makeKeyRecord(), other] });
    const { id } = (await create(proxy)).json;
    const never = id.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/cancel'],
      ['GET', '/input_items'],
    ] as const) {
      const [foreign, unknown] = [
        await call(proxy, method, `/v1/responses/${id}${path}`, { key: otherText }),
        await call(proxy, method, `/v1/responses/${never}${path}`, { key: otherText }),
      ];
      expect(foreign.status).toBe(404);
      expect(foreign.text).toBe(unknown.text);
    }
    const [foreign, unknown] = [
      await create(proxy, { previous_response_id: id }, otherText),
      await create(proxy, { previous_response_id: never }, otherText),
    ];
    expect(foreign).toMatchObject({ status: 404, json: { error: { code: 'not_found', param: 'previous_response_id' } } });
    expect(foreign.text).toBe(unknown.text);
    expect(upstream.requests).toHaveLength(1);
  });

  it('outlives the rotation of the key, and not its being made anew', async () => {
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { keys: [makeKeyRecord()] });
    const { id } = (await create(proxy)).json;
    const rotated = await startTestProxy({
      channels: [],
      keys: [makeKeyRecord({ credentials: [credentialOf(otherText, '000000000003')] })],
    });
    proxy.index.keys = rotated.index.keys;
    await rotated.stop();
    expect((await call(proxy, 'GET', `/v1/responses/${id}`, { key: otherText })).status).toBe(200);
    const anew = await startTestProxy({ channels: [], keys: [makeKeyRecord({ uid: 'u9' })] });
    proxy.index.keys = anew.index.keys;
    await anew.stop();
    expect((await call(proxy, 'GET', `/v1/responses/${id}`)).status).toBe(404);
  });

  it('where the account is gone it is not found; a renewed secret, or an account that gets no new work, still keeps it', async () => {
    const upstream = await provider();
    const channel = makeChannelRecord(upstream.url, { models });
    const proxy = await proxyFor([channel]);
    const { id } = (await create(proxy)).json;
    const [credential] = channel.credentials;
    if (credential === undefined) throw new Error('no credential');
    proxy.index.channels = [makeChannelRecord(upstream.url, { credentials: [{ ...credential, weight: 0 }, ...pool] })];
    expect((await call(proxy, 'GET', `/v1/responses/${id}`)).status).toBe(200);
    proxy.index.channels = [makeChannelRecord(upstream.url, { credentials: pool })];
    const count = upstream.requests.length;
    expect(await call(proxy, 'GET', `/v1/responses/${id}`)).toMatchObject({ status: 404, json: { error: { code: 'not_found' } } });
    proxy.index.channels = [makeChannelRecord(upstream.url, { id: 'default/another' })];
    expect((await call(proxy, 'GET', `/v1/responses/${id}`)).status).toBe(404);
    expect(await create(proxy, { previous_response_id: id })).toMatchObject({
      status: 404,
      json: { error: { param: 'previous_response_id' } },
    });
    expect(upstream.requests).toHaveLength(count);
  });

  it('no other channel is asked for it, also when the right one fails', async () => {
    let fails = false;
    const keeps = await provider();
    const broken = await upstreamThat((request, response) => {
      if (fails) response.writeHead(500).end();
      else
        void fetch(`${keeps.url}${request.url}`, { method: request.method, body: request.body }).then(async (answer) => {
          response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
        });
    });
    const proxy = await proxyFor([makeChannelRecord(broken.url, { retries: { attempts: 0, on: [] } })]);
    const { id } = (await create(proxy)).json;
    const second = await provider();
    proxy.index.channels = [...proxy.index.channels, makeChannelRecord(second.url, { id: 'default/second' })];
    fails = true;
    expect((await create(proxy, { previous_response_id: id })).status).toBe(503);
    expect((await create(proxy)).status).toBe(200);
    expect(second.requests.map(({ body }) => body.includes(id))).toEqual([false]);
  });
});

describe('what is noted when', () => {
  it('a whole answer waits until its ids are noted, and is the same then', async () => {
    const objects = makeGuarded();
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { storedObjects: objects });
    objects.shut();
    let isThere = false;
    const answer = create(proxy).then((given) => {
      isThere = true;
      return given;
    });
    await untilHolds(() => expect(upstream.requests).toHaveLength(1));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isThere).toBe(false);
    objects.open();
    const { status, json } = await answer;
    expect(status).toBe(200);
    expect(objects.noted[0]).toBe(json.id);
  });

  it('of a stream no event that shows an id comes before it is noted, and nothing is lost or out of order', async () => {
    const objects = makeGuarded();
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { storedObjects: objects });
    objects.shut();
    let text = '';
    const response = await fetch(`${proxy.url}/v1/responses`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-5', input: 'x', stream: true }),
    });
    const reading = (async () => {
      for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString();
    })();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(text).toBe('');
    objects.open();
    await reading;
    expect([...text.matchAll(/"sequence_number":(\d+)/g)].map(([, number]) => Number(number))).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const ids = [...new Set(text.match(/(?:resp|rs|msg)_\w+/g))];
    expect([...new Set(objects.noted)].toSorted()).toEqual(ids.toSorted());
    expect(proxy.counters.settlements).toEqual([expect.objectContaining({ tokens: 35 })]);
  });
});

describe('while the store is away', () => {
  it('a look-up is no 404, and a new response is refused before anything is paid for', async () => {
    const objects = makeGuarded();
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { storedObjects: objects });
    const { id } = (await create(proxy)).json;
    objects.isAway = true;
    const unavailable = { status: 503, json: { error: { code: 'limiter_unavailable' } } };
    expect(await call(proxy, 'GET', `/v1/responses/${id}`)).toMatchObject(unavailable);
    expect(await call(proxy, 'DELETE', `/v1/responses/${id}`)).toMatchObject(unavailable);
    expect(await create(proxy, { previous_response_id: id })).toMatchObject(unavailable);
    expect(await create(proxy)).toMatchObject(unavailable);
    expect(upstream.requests).toHaveLength(1);
  });

  it('an answer that cannot be noted is not shown, and is charged', async () => {
    const objects = makeGuarded();
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { storedObjects: objects });
    const failing: StoredObjects['note'] = async () => false;
    objects.note = failing;
    const whole = await create(proxy);
    expect(whole).toMatchObject({ status: 503, json: { error: { code: 'limiter_unavailable' } } });
    expect(whole.text).not.toContain('resp_');
    const stream = await create(proxy, { stream: true });
    expect(stream.text).not.toContain('resp_');
    expect(stream.text).toMatch(/^\n\nevent: error\ndata: \{"type":"error","code":"limiter_unavailable",.*"sequence_number":0\}\n\n$/);
    expect(proxy.counters.settlements.map(({ tokens, refundRequest }) => tokens > 0 && !refundRequest)).toEqual([true, true]);
  });
});

describe('a stream', () => {
  const opening = 'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1"},"sequence_number":0}\n\n';

  it('that ends without its last event was broken off, which the official SDK throws', async () => {
    const upstream = await upstreamThat((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(opening);
    });
    const proxy = await proxyFor([makeChannelRecord(upstream.url)]);
    const client = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: keyText, maxRetries: 0 });
    const read = async (): Promise<void> => {
      for await (const event of await client.responses.create({ model: 'gpt-5', input: 'x', stream: true }))
        expect(event.type).toBe('response.created');
    };
    await expect(read()).rejects.toMatchObject({ code: 'upstream_unavailable', message: 'The provider broke off its answer.' });
    expect(proxy.accessLines()).toEqual([expect.objectContaining({ aborted_by: 'upstream', status: 200 })]);
  });
});

describe('a stream that is read once more', () => {
  const delta = 'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"x","sequence_number":5}\n\n';

  async function retrieve(...pieces: readonly string[]): Promise<{ readonly answer: Answer; readonly proxy: TestProxy }> {
    const upstream = await upstreamThat((request, response) => {
      if (request.method === 'POST') return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":"resp_1"}');
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const piece of pieces) response.write(piece);
      return void response.end();
    });
    const proxy = await proxyFor([makeChannelRecord(upstream.url, { models })]);
    await create(proxy);
    return { answer: await call(proxy, 'GET', '/v1/responses/resp_1?stream=true&starting_after=4'), proxy };
  }

  it('and is broken off says so as the first one would, and costs nothing', async () => {
    const { answer, proxy } = await retrieve(delta);
    expect(answer.text.slice(delta.length)).toMatch(
      /^\n\nevent: error\ndata: \{"type":"error","code":"upstream_unavailable",.*"sequence_number":6\}\n\n$/,
    );
    expect(proxy.counters.settlements.at(-1)).toMatchObject({ tokens: 0 });
  });

  it('passes as it came where it is complete, and where nothing is left of it', async () => {
    const completed = delta.replaceAll('output_text.delta', 'completed');
    expect((await retrieve(delta, completed)).answer.text).toBe(delta + completed);
    expect((await retrieve()).answer.text).toBe('');
  });
});

describe('what is charged', () => {
  const budgeted = (): KeyRecord =>
    makeKeyRecord({ budgets: [{ period: 'Monthly', limitNanoUsd: 1e12, mode: 'Enforce', warnAt: [] }], limits: { rpm: 4 } });

  it('the usage of an answer; of what runs on in the background all that it may use; of a retrieval a request', async () => {
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url, { models })], { keys: [budgeted()] });
    const [id = ''] = /resp_\w+/.exec((await create(proxy, { stream: true })).text) ?? [];
    const background = await create(proxy, { background: true, max_output_tokens: 5000 });
    expect(background.status).toBe(200);
    await call(proxy, 'GET', `/v1/responses/${id}`);
    const [streamed, queued, retrieved] = proxy.counters.settlements;
    expect(streamed).toMatchObject({ tokens: 35, money: { costNanoUsd: 30 * 1000 + 5 * 10_000 } });
    expect(queued?.tokens).toBeGreaterThan(5000);
    expect(queued?.money?.costNanoUsd).toBeGreaterThan(5000 * 10_000);
    expect(retrieved).toMatchObject({ tokens: 0, refundRequest: false });
    expect((await call(proxy, 'GET', `/v1/responses/${id}`)).status).toBe(200);
    expect((await call(proxy, 'GET', `/v1/responses/${id}`)).status).toBe(429);
  });

  it('what it goes on with is part of what is reserved, all of the conversation so far', async () => {
    const upstream = await provider();
    const proxy = await proxyFor([makeChannelRecord(upstream.url, { models })], { keys: [budgeted()] });
    for (const stream of [false, true]) {
      proxy.counters.admissions.length = 0;
      const [id = ''] = /resp_\w+/.exec((await create(proxy, { stream, max_output_tokens: 10 })).text) ?? [];
      await create(proxy, { previous_response_id: id, max_output_tokens: 10 });
      const [first = 0, second = 0] = proxy.counters.admissions.map(({ tokens }) => tokens);
      const [firstBound = 0, secondBound = 0] = proxy.counters.admissions.map(({ money }) => money?.boundNanoUsd);
      // the id stands in the body as well
      const more = second - first;
      expect(more).toBeGreaterThanOrEqual(35);
      expect(more).toBeLessThan(70);
      expect(secondBound - firstBound).toBeGreaterThanOrEqual(35 * 1000);
    }
  });
});

describe('a whole answer is held until its ids are noted', () => {
  const usage = { input_tokens: 1000, output_tokens: 5000 };
  const long = JSON.stringify({ id: 'resp_1', output: [{ type: 'message', id: 'msg_1', text: 'x'.repeat(400_000) }], usage });
  const settled = (proxy: TestProxy): unknown => proxy.counters.settlements.map(({ tokens, event }) => ({ tokens, usage: event?.usage }));
  const full = { status: 503, json: { error: { code: 'overloaded' } } };

  it('one that does not fit is refused, and charged what it tells', async () => {
    const upstream = await upstreamThat((_request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(long));
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { settings: { maxBodyBytes: 10_000, maxBufferedBytes: 200_000 } });
    expect(await create(proxy)).toMatchObject(full);
    expect(settled(proxy)).toEqual([{ tokens: 6000, usage: expect.objectContaining({ inputTokens: 1000, outputTokens: 5000 }) }]);
    expect(await create(proxy, { store: false })).toMatchObject({ status: 200, text: long });
  });

  it.each([
    ['while it is held', 1 << 20],
    ['when it has become too long to be held', 100_000],
  ])('one that breaks off %s is charged what has come', async (_when, maxBufferedBytes) => {
    const upstream = await upstreamThat((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).write(long.slice(0, 200_000));
      setTimeout(() => response.destroy(), 100);
    });
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { settings: { maxBodyBytes: 10_000, maxBufferedBytes } });
    expect((await create(proxy)).status).toBe(503);
    expect(settled(proxy)).toEqual([{ tokens: expect.any(Number), usage: expect.objectContaining({ outputTokens: 50_000 }) }]);
    expect(await proxy.metrics.registry.metrics()).toContain('keywright_usage_estimated_total{reason="upstream"} 1');
  });

  it('one whose client goes away while it is held is charged what has come', async () => {
    const upstream = await upstreamThat((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).write(long.slice(0, 200_000));
    });
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], { settings: { maxBodyBytes: 10_000 } });
    const leaving = new AbortController();
    const request = fetch(`${proxy.url}/v1/responses`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-5', input: 'x' }),
      signal: leaving.signal,
    });
    await untilHolds(() => expect(upstream.requests).toHaveLength(1));
    await new Promise((resolve) => setTimeout(resolve, 300));
    leaving.abort();
    await expect(request).rejects.toThrow();
    await untilHolds(() => expect(proxy.counters.settlements).toHaveLength(1));
    expect(settled(proxy)).toEqual([{ tokens: expect.any(Number), usage: expect.objectContaining({ outputTokens: 50_000 }) }]);
  });

  it('one tenant whose answers fill its part takes no room from another', async () => {
    const otherText = 'sk-kw-othertenant0123456789abcdefghijkl';
    const credential = { id: '000000000002', hash: sha256Hex(otherText), prefix: '', state: 'Active' } as const;
    const endings: (() => void)[] = [];
    const upstream = await upstreamThat((request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      if (!request.body.includes('slow')) return response.end(long);
      response.write(long.slice(0, 390_000));
      endings.push(() => response.end(long.slice(390_000)));
      return undefined;
    });
    const proxy = await proxyFor([makeChannelRecord(upstream.url)], {
      keys: [makeKeyRecord(), makeKeyRecord({ id: 'other/app', uid: 'u2', credentials: [credential] })],
      settings: { maxBodyBytes: 10_000, maxBufferedBytes: 3_000_000 },
    });
    const held = Array.from({ length: 8 }, () => create(proxy, { input: 'slow' }));
    await untilHolds(() => expect(endings).toHaveLength(8));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await create(proxy, {}, otherText)).status).toBe(200);
    for (const end of endings) end();
    const statuses = (await Promise.all(held)).map(({ status }) => status);
    expect([statuses.filter((status) => status === 200).length, new Set(statuses)]).toEqual([5, new Set([200, 503])]);
    expect(proxy.counters.settlements.map(({ tokens }) => tokens)).toEqual(Array(9).fill(6000));
  });
});
