import { Agent, request as httpRequest } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../core/secret.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import { makeSharedStoredObjects } from '../../proxy/stored-objects/shared.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeRedisLink, type RedisLink } from '../../runtime/redis-link.ts';
import { makeChannelRecord, makeKeyRecord } from '../support/records.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { eventually } from '../support/eventually.ts';
import { type KeepingProvider, startKeepingProvider } from '../support/keeping-provider.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

/** A tenant who may use one model of an account that another tenant shares. */
const allowed = 'gpt-5';
const forbidden = 'secret-model';
const victimText = 'sk-kw-victim00123456789abcdefghijklmnop';
const attackerText = 'sk-kw-attacker0123456789abcdefghijklmno';

let redis: TestRedis;
let link: RedisLink;
let provider: KeepingProvider;
/** two proxies of one installation: what one has shown the other knows */
const proxies: TestProxy[] = [];
/** of the other tenant: responses, and items of them */
const foreignIds: string[] = [];
const ownIds: string[] = [];
const agent = new Agent({ keepAlive: true, maxSockets: 8 });

beforeAll(async () => {
  redis = await startRedis();
  link = makeRedisLink({ url: hide(redis.url), name: 'test', random: Math.random, log: makeLog({ level: 'silent', name: 'test' }) });
  await eventually(() => link.connected || undefined);
  provider = await startKeepingProvider();
  const credentials = ['one', 'two'].map((name) => ({ name, weight: 1, secret: new Secret(`sk-provider-${name}`) }));
  for (let number = 0; number < 2; number += 1) {
    proxies.push(
      await startTestProxy({
        channels: [makeChannelRecord(provider.url, { credentials })],
        keys: [toKey('team-a/app', victimText, [allowed, forbidden]), toKey('team-a/other', attackerText, [allowed])],
        storedObjects: makeSharedStoredObjects({ link }),
        random: Math.random,
        settings: { maxInFlight: 1000 },
      }),
    );
  }
  for (const body of [{}, { stream: true }, { background: true, max_output_tokens: 9 }]) {
    foreignIds.push(...toIds((await send(victimText, { body: { model: forbidden, input: 'x', ...body } })).text));
    ownIds.push(...toIds((await send(attackerText, { body: { model: allowed, input: 'x', ...body } })).text));
  }
});

afterAll(async () => {
  agent.destroy();
  for (const proxy of proxies) await proxy.stop();
  await provider.close();
  await link.close();
  await redis.stop();
});

function toKey(id: string, text: string, models: readonly string[]): KeyRecord {
  const credentials = [{ id: sha256Hex(text).slice(0, 12), hash: sha256Hex(text), prefix: '', state: 'Active' }] as const;
  return makeKeyRecord({ id, uid: `uid of ${id}`, credentials, access: { models } });
}

function toIds(text: string): string[] {
  return [...new Set(text.match(/(?:resp|msg|rs)_[0-9a-f]+/g))];
}

interface Tried {
  readonly method?: string;
  readonly path?: string;
  readonly body?: object | string | undefined;
  readonly contentType?: string;
}

let next = 0;

/** One request as it is written: no client puts its path or its body right. */
function send(
  key: string,
  { method = 'POST', path = '/v1/responses', body, contentType = 'application/json' }: Tried,
): Promise<{ status: number; text: string }> {
  next += 1;
  const { hostname, port } = new URL((proxies[next % 2] as TestProxy).url);
  const bytes = body === undefined ? undefined : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const headers = {
    authorization: `Bearer ${key}`,
    'x-tenant': key === attackerText ? 'attacker' : 'victim',
    ...(bytes === undefined ? {} : { 'content-type': contentType, 'content-length': bytes.length }),
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, method, path, headers, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(bytes);
  });
}

/** What the provider has got from the attacker since then that it must never get; the proof looks at nothing else. */
function findBreaches(since: number): string[] {
  return provider.requests
    .slice(since)
    .filter(({ headers }) => headers['x-tenant'] === 'attacker')
    .flatMap(({ method, url, body }) => {
      const seen = `${url}\n${decode(url)}\n${body}\n${unescape(body)}`;
      const breaches = [...foreignIds, forbidden].filter((secret) => seen.includes(secret));
      return breaches.map((secret) => `${method} ${url} ${body} holds ${secret}`);
    });
}

function decode(url: string): string {
  try {
    return decodeURIComponent(url);
  } catch {
    return url;
  }
}

/** As a reader of JSON sees it, whatever is escaped. */
function unescape(body: string): string {
  return body.replaceAll(/\\u([0-9a-fA-F]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

describe('another tenant of the same account', () => {
  it('has its own responses, and the tenant in question has some', async () => {
    expect(foreignIds.length).toBeGreaterThanOrEqual(7);
    const before = provider.requests.length;
    for (const id of ownIds.filter((each) => each.startsWith('resp_'))) {
      expect((await send(attackerText, { method: 'GET', path: `/v1/responses/${id}` })).status).toBe(200);
      expect((await send(attackerText, { body: { model: allowed, input: 'x', previous_response_id: id } })).status).toBe(200);
    }
    for (const id of ownIds.filter((each) => !each.startsWith('resp_')))
      expect((await send(attackerText, { body: { model: allowed, input: [{ type: 'item_reference', id }] } })).status).toBe(200);
    expect(provider.requests.length - before).toBe(10);
    expect((await send(victimText, { method: 'GET', path: `/v1/responses/${foreignIds[0]}` })).status).toBe(200);
  });

  const tried: readonly [string, (id: string) => Tried][] = [
    ['reads a response', (id) => ({ method: 'GET', path: `/v1/responses/${id}` })],
    ['reads it as a client of Azure', (id) => ({ method: 'GET', path: `/openai/responses/${id}?api-version=2025-04-01-preview` })],
    ['deletes it as a client of Azure', (id) => ({ method: 'DELETE', path: `/openai/v1/responses/${id}` })],
    [
      'goes on with it as a client of Azure',
      (id) => ({ path: '/openai/responses', body: { model: allowed, input: 'x', previous_response_id: id } }),
    ],
    ['reads its stream', (id) => ({ method: 'GET', path: `/v1/responses/${id}?stream=true` })],
    ['reads what was asked', (id) => ({ method: 'GET', path: `/v1/responses/${id}/input_items` })],
    ['cancels it', (id) => ({ path: `/v1/responses/${id}/cancel` })],
    ['deletes it', (id) => ({ method: 'DELETE', path: `/v1/responses/${id}` })],
    ['writes its id with an escape', (id) => ({ method: 'GET', path: `/v1/responses/${id.replace('_', '%5F')}` })],
    ['goes on with it', (id) => ({ body: { model: allowed, input: 'x', previous_response_id: id } })],
    ['goes on with it and keeps nothing', (id) => ({ body: { model: allowed, input: 'x', previous_response_id: id, store: false } })],
    ['goes on with it, written otherwise', (id) => ({ body: { model: allowed, input: 'x', Previous_Response_Id: id } })],
    [
      'goes on with it, named twice',
      (id) => ({ body: `{"model":"${allowed}","input":"x","previous_response_id":null,"previous_response_id":"${id}"}` }),
    ],
    ['goes on with it, escaped', (id) => ({ body: `{"model":"${allowed}","input":"x","previous_response\\u005fid":"${id}"}` })],
    ['compares it', (id) => ({ body: { model: allowed, input: 'x', prompt_cache_options: { comparison_response_id: id } } })],
    ['points to an item', (id) => ({ body: { model: allowed, input: [{ type: 'item_reference', id }] } })],
    ['points to an item without a type', (id) => ({ body: { model: allowed, input: [{ id }] } })],
    ['points to thoughts', (id) => ({ body: { model: allowed, input: [{ type: 'reasoning', id, summary: [] }] } })],
    ['points to an image', (id) => ({ body: { model: allowed, input: [{ type: 'image_generation_call', id, result: null }] } })],
    [
      'among items of its own',
      (id) => ({
        body: {
          model: allowed,
          input: [
            { type: 'item_reference', id: ownIds[1] },
            { type: 'item_reference', id },
          ],
        },
      }),
    ],
    [
      'beside a response of its own',
      (id) => ({ body: { model: allowed, previous_response_id: ownIds[0], input: [{ type: 'item_reference', id }] } }),
    ],
    ['compacts it', (id) => ({ path: '/v1/responses/compact', body: { model: allowed, previous_response_id: id } })],
    ['counts it', (id) => ({ path: '/v1/responses/input_tokens', body: { model: allowed, previous_response_id: id } })],
    ['takes it for a conversation', (id) => ({ body: { model: allowed, input: 'x', conversation: id } })],
    ['takes it for a chat', (id) => ({ method: 'GET', path: `/v1/chat/completions/${id}` })],
    ['takes it for a conversation of the API', (id) => ({ method: 'GET', path: `/v1/conversations/${id}/items` })],
    ['walks up', (id) => ({ method: 'GET', path: `/v1/models/../responses/${id}` })],
    ['walks up with escapes', (id) => ({ method: 'GET', path: `/v1/models/%2e%2e%2fresponses%2f${id}` })],
    ['walks out of its own response', (id) => ({ method: 'GET', path: `/v1/responses/${ownIds[0]}/../${id}` })],
    ['hides it in a query', (id) => ({ method: 'GET', path: `/v1/responses/${ownIds[0]}?id=${id}` })],
    ['doubles a slash', (id) => ({ method: 'GET', path: `/v1//responses/${id}` })],
    ['uses another case', (id) => ({ method: 'GET', path: `/v1/Responses/${id}` })],
  ];

  it.each(tried)('%s, and the provider never hears of it', async (_what, toTried) => {
    const before = provider.requests.length;
    for (const id of foreignIds) {
      const { status, text } = await send(attackerText, toTried(id));
      if (!toTried(id).path?.includes('?id=')) expect([400, 404, 405]).toContain(status);
      expect(text).not.toContain(id);
    }
    expect(findBreaches(before)).toEqual([]);
  });

  const models: readonly [string, Tried][] = [
    ['the field', { body: { model: forbidden, input: 'x' } }],
    ['a fallback', { body: { model: allowed, models: [allowed, forbidden], input: 'x' } }],
    ['a tool', { body: { model: allowed, input: 'x', tools: [{ type: 'image_generation', model: forbidden }] } }],
    ['a tool in a tool', { body: { model: allowed, input: 'x', tools: [{ type: 'namespace', tools: [{ model: forbidden }] }] } }],
    ['the moderation', { body: { model: allowed, input: 'x', moderation: { model: forbidden } } }],
    ['a second field', { body: `{"model":"${allowed}","input":"x","model":"${forbidden}"}` }],
    ['an escaped field', { body: `{"model":"${allowed}","input":"x","mod\\u0065l":"${forbidden}"}` }],
    ['a field in another case', { body: { model: allowed, MODEL: forbidden, input: 'x' } }],
    ['a field that folds to it', { body: { model: allowed, modEl: forbidden, input: 'x' } }],
    ['what follows the body', { body: `{"model":"${allowed}","input":"x"}{"model":"${forbidden}"}` }],
    ['a form', { body: `model=${forbidden}&input=x`, contentType: 'application/x-www-form-urlencoded' }],
    ['a chat', { path: '/v1/chat/completions', body: { model: forbidden, messages: [] } }],
    ['a deployment', { path: `/openai/deployments/${forbidden}/chat/completions`, body: { messages: [] } }],
    [
      'a deployment that the body contradicts',
      { path: `/openai/deployments/${forbidden}/chat/completions`, body: { model: allowed, messages: [] } },
    ],
    [
      'a body that the deployment contradicts',
      { path: `/openai/deployments/${allowed}/chat/completions`, body: { model: forbidden, messages: [] } },
    ],
    ['a call of Gemini', { path: `/v1beta/models/${forbidden}:generateContent`, body: { contents: [] } }],
    ['a form with files', { path: '/v1/audio/transcriptions', ...toForm([allowed, forbidden]) }],
    ['a form with files, the other way round', { path: '/v1/audio/transcriptions', ...toForm([forbidden, allowed]) }],
    ['a form that a deployment contradicts', { path: `/openai/deployments/${allowed}/audio/transcriptions`, ...toForm([forbidden]) }],
    ['a form that says to be JSON', { body: toForm([forbidden]).body, contentType: 'application/json' }],
  ];

  it.each(models)('names a model that it may not use in %s, and the provider never hears of it', async (_what, given) => {
    const before = provider.requests.length;
    expect((await send(attackerText, given)).status).toBeGreaterThanOrEqual(400);
    expect(findBreaches(before)).toEqual([]);
  });

  it('tries anything at all, and the provider never hears of it', { timeout: 120_000 }, async () => {
    const before = provider.requests.length;
    await fc.assert(
      fc.asyncProperty(anyTried(), async (given) => {
        const since = provider.requests.length;
        await send(attackerText, given);
        expect(findBreaches(since)).toEqual([]);
      }),
      { numRuns: Number(process.env['KEYWRIGHT_FUZZ_RUNS'] ?? 1500) },
    );
    expect(findBreaches(before)).toEqual([]);
    // a fuzzer of which nothing arrives at all proves nothing
    expect(provider.requests.length - before).toBeGreaterThan(20);
    for (const id of foreignIds.filter((each) => each.startsWith('resp_')))
      expect((await send(victimText, { method: 'GET', path: `/v1/responses/${id}` })).status).toBe(200);
  });
});

function toForm(names: readonly string[]): { body: string; contentType: string } {
  const parts = names.map((name) => `--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n${name}\r\n`);
  const file = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n';
  return { body: `${file}${parts.join('')}--b--\r\n`, contentType: 'multipart/form-data; boundary=b' };
}

/** Requests that are right but for one thing or two, with ids and models of either tenant wherever one may stand. */
function anyTried(): fc.Arbitrary<Tried> {
  const id = fc.nat().map((number) => [...foreignIds, ...ownIds][number % (foreignIds.length + ownIds.length)] as string);
  const model = fc.constantFrom(allowed, allowed, forbidden);
  return fc.oneof(
    { weight: 2, arbitrary: fc.record({ method: anyMethod, path: anyPath(id, model) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        path: fc.constantFrom('/v1/responses', '/openai/v1/responses'),
        body: anyBody(id, model),
      }),
    },
    // what stands in a message there is text and nothing else
    {
      weight: 1,
      arbitrary: fc.record({
        path: fc.constant('/v1/chat/completions'),
        body: anyBody(
          fc.nat().map((number) => ownIds[number % ownIds.length] as string),
          model,
        ),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ method: anyMethod, path: anyPath(id, model), body: anyBody(id, model), contentType: anyContentType }),
    },
  );
}

const anyMethod = fc.constantFrom('GET', 'GET', 'DELETE', 'POST', 'POST', 'PUT', 'PATCH', 'HEAD', 'OPTIONS');
const anyContentType = fc.constantFrom(
  'application/json',
  'text/plain',
  'multipart/form-data; boundary=b',
  'application/x-www-form-urlencoded',
);

function anyPath(id: fc.Arbitrary<string>, model: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const prefix = fc.constantFrom(
    '/v1',
    '/v1',
    '/v1',
    '/openai/v1',
    '/openai',
    '/openai/deployments',
    '/v1beta',
    '/anthropic/v1',
    '/gemini/v1beta',
    '/V1',
    '//v1',
    '/v1/.',
    '/v1/x/..',
    '',
  );
  const segment = fc.oneof(
    fc.constantFrom(
      'responses',
      'responses',
      'models',
      'chat',
      'completions',
      'cancel',
      'input_items',
      'conversations',
      'files',
      'items',
      '..',
      '.',
      '',
      '%2e%2e',
      'compact',
    ),
    id,
    id.map((text) => text.replaceAll('_', '%5F')),
    id.map((text) => `%${Buffer.from(text).toString('hex').match(/../g)?.join('%')}`),
    id.map((text) => `x%2f${text}`),
    id.map((text) => `${text};v=1`),
    model,
    model.map((text) => `${text}:generateContent`),
  );
  const usual = fc.tuple(id, fc.constantFrom('', '/cancel', '/input_items', '/')).map(([text, rest]) => `/v1/responses/${text}${rest}`);
  const odd = fc
    .tuple(prefix, fc.array(segment, { minLength: 1, maxLength: 4 }))
    .map(([start, segments]) => `${start}/${segments.join('/')}`);
  const query = fc
    .tuple(fc.constantFrom('id', 'model', 'api-version', 'previous_response_id', 'key'), fc.oneof(model, fc.constantFrom('true', '1')))
    .map(([name, value]) => `?${name}=${value}`);
  return fc
    .tuple(fc.oneof(usual, odd), fc.oneof({ weight: 3, arbitrary: fc.constant('') }, { weight: 1, arbitrary: query }))
    .map(([path, rest]) => `${path}${rest}`);
}

/** The text of a body: members in any order, some twice, in another case or escaped. */
function anyBody(id: fc.Arbitrary<string>, model: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const json = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<string> => value.map((each) => JSON.stringify(each));
  const item = fc.oneof(
    fc.record({ type: fc.constantFrom('item_reference', 'reasoning', 'image_generation_call', 'web_search_call', 'x', null), id }),
    fc.record({ id }),
    fc.record({ type: fc.constant('message'), role: fc.constant('user'), content: fc.constant('x') }),
    fc.record({
      role: fc.constant('user'),
      content: fc.array(fc.record({ type: fc.constant('input_file'), file_id: id }), { maxLength: 2 }),
    }),
  );
  const tool = fc.oneof(
    fc.record({ type: fc.constant('image_generation'), model }),
    fc.record({ type: fc.constant('x'), tools: fc.array(fc.record({ model }), { maxLength: 2 }) }),
    fc.record({ type: fc.constant('file_search'), vector_store_ids: fc.array(id, { maxLength: 2 }) }),
  );
  const member = fc.oneof(
    fc.tuple(fc.constantFrom('model', 'model', 'MODEL', 'mod\\u0065l'), json(model)),
    fc.tuple(fc.constant('models'), json(fc.array(model, { maxLength: 2 }))),
    fc.tuple(
      fc.constantFrom(
        'previous_response_id',
        'previous_response_id',
        'Previous_response_id',
        'previous_response\\u005fid',
        'conversation',
        'prompt',
      ),
      json(fc.oneof(id, fc.record({ id }), fc.constant(null))),
    ),
    fc.tuple(
      fc.constantFrom('input', 'input', 'instructions', 'messages'),
      json(fc.oneof(fc.constant('x'), fc.array(item, { maxLength: 3 }))),
    ),
    fc.tuple(fc.constant('tools'), json(fc.array(tool, { maxLength: 2 }))),
    fc.tuple(fc.constant('moderation'), json(fc.record({ model }))),
    fc.tuple(fc.constantFrom('stream', 'store', 'background'), fc.constantFrom('true', 'false', 'null', '1')),
  );
  return fc
    .tuple(fc.boolean(), fc.array(member, { maxLength: 4 }), fc.constantFrom('', '', '', ' ', ',', '{}', '\u0000'))
    .map(([isWhole, members, rest]) => {
      const usual: [string, string][] = isWhole
        ? [
            ['model', JSON.stringify(allowed)],
            ['input', '"x"'],
          ]
        : [];
      const names = new Set(isWhole ? ['model', 'input'] : []);
      const all = [...usual, ...members.filter(([name]) => rest === ' ' || !names.has(name))];
      return `{${all.map(([name, value]) => `"${name}":${value}`).join(',')}}${rest}`;
    });
}
