import { describe, expect, it, vi } from 'vitest';
import { Secret } from '../../core/secret.ts';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { chatAnswer, chatBody, postChat } from '../../test/support/chat.ts';
import { makeChannelRecord, makeKeyRecord } from '../../test/support/records.ts';
import { answerJson, type UpstreamHandler } from '../../test/support/test-upstream.ts';
import { type ProxyAndUpstream, useProxy } from '../../test/support/use-proxy.ts';
import { makeChannelHealth } from '../channels/channel-health.ts';
import type { Exchange } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { tryChannel } from './try-channel.ts';

const startProxy = useProxy();

function start(answer: UpstreamHandler, changes: Partial<ChannelRecord> = {}): Promise<ProxyAndUpstream> {
  return startProxy(answer, (url) => ({ channels: [makeChannelRecord(url, changes)] }));
}

const pool = ['one', 'other'].map((name) => ({ name, weight: 1, secret: new Secret(`sk-${name}`) }));
const toError = (code: string) => ({ error: { message: 'our account', type: code, param: null, code } });
const codeOf = async (response: Response): Promise<unknown> => [
  response.status,
  ((await response.json()) as { error: { code: string } }).error.code,
];

describe('a request', () => {
  it('is repeated for at most a fifth of the requests of its channel, and a few in hand', async () => {
    const { upstream, proxy } = await start((_request, response) => answerJson(response, {}, 500), {
      circuitBreaker: { consecutiveFailures: 1000 },
    });
    for (let count = 0; count < 40; count += 1) expect((await postChat(proxy.url)).status).toBe(503);
    expect(upstream.requests.length).toBeGreaterThanOrEqual(40 + 3);
    expect(upstream.requests.length).toBeLessThanOrEqual(40 + 40 / 5 + 4);
  });

  it('goes to another credential when one is dead, without a repetition of the budget', async () => {
    const { upstream, proxy } = await start(
      (request, response) =>
        request.headers.authorization === 'Bearer sk-one'
          ? answerJson(response, toError('invalid_api_key'), 401)
          : answerJson(response, chatAnswer),
      { credentials: pool },
    );
    for (let count = 0; count < 5; count += 1) expect((await postChat(proxy.url)).status).toBe(200);
    // the dead one was asked once
    expect(upstream.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer sk-one',
      ...Array<string>(5).fill('Bearer sk-other'),
    ]);
  });

  it('of a throttled account is told when to come back, and asks nobody until then', async () => {
    const { upstream, proxy } = await start(
      (_request, response) => answerJson(response, toError('rate_limit_exceeded'), 429, { 'retry-after': '7' }),
      {
        credentials: pool,
      },
    );
    const first = await postChat(proxy.url);
    const second = await postChat(proxy.url);
    expect([await codeOf(first), await codeOf(second), upstream.requests.length]).toEqual([
      [429, 'upstream_rate_limited'],
      [429, 'upstream_rate_limited'],
      2,
    ]);
    expect([first.headers.get('retry-after'), second.headers.get('retry-after')]).toEqual(['7', '7']);
  });

  it('that a deployment has no quota for leaves it to every other tenant, and is told to come back soon', async () => {
    const message =
      'Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 86400 seconds.';
    const otherText = 'sk-kw-othertenant0123456789abcdefghijkl';
    const credential = { id: '000000000002', hash: sha256Hex(otherText), prefix: '', state: 'Active' } as const;
    const { upstream, proxy } = await startProxy(
      (request, response) =>
        request.body.includes('large')
          ? answerJson(response, { error: { code: '429', message } }, 429, { 'retry-after': '86400' })
          : answerJson(response, chatAnswer),
      (url) => ({
        channels: [makeChannelRecord(url, { provider: 'AzureOpenAI', authHeader: 'api-key' })],
        keys: [makeKeyRecord(), makeKeyRecord({ id: 'second/app', uid: 'u2', credentials: [credential] })],
      }),
    );
    const large = { ...chatBody, messages: [{ role: 'user', content: 'large' }] };
    for (const forwarded of [1, 1]) {
      const refused = await postChat(proxy.url, large);
      expect([await codeOf(refused), refused.headers.get('retry-after'), upstream.requests.length]).toEqual([
        [429, 'upstream_rate_limited'],
        '10',
        forwarded,
      ]);
    }
    expect((await postChat(proxy.url, chatBody, { authorization: `Bearer ${otherText}` })).status).toBe(200);
    expect((await postChat(proxy.url, { ...chatBody, model: 'other' })).status).toBe(200);
  });

  it('of a channel whose breaker is open is told when to come back', async () => {
    const { upstream, proxy } = await start((_request, response) => answerJson(response, {}, 500), {
      circuitBreaker: { consecutiveFailures: 2, openMs: 20_000 },
    });
    await postChat(proxy.url);
    const refused = await postChat(proxy.url);
    expect([await codeOf(refused), refused.headers.get('retry-after'), upstream.requests.length]).toEqual([
      [503, 'upstream_unavailable'],
      '20',
      2,
    ]);
  });

  it('for a model that nobody knows is a 404 of ours, and is not asked about again', async () => {
    const { upstream, proxy } = await start((_request, response) => answerJson(response, toError('model_not_found'), 404));
    for (let count = 0; count < 3; count += 1) expect(await codeOf(await postChat(proxy.url))).toEqual([404, 'model_not_found']);
    expect(upstream.requests).toHaveLength(1);
    expect((await postChat(proxy.url, { ...chatBody, model: 'other' })).status).toBe(404);
    expect(upstream.requests).toHaveLength(2);
  });

  it('for a model that the Channel lists and its provider does not know is our trouble', async () => {
    const { proxy } = await start((_request, response) => answerJson(response, toError('model_not_found'), 404), {
      models: [{ name: 'gpt-4o-mini' }],
    });
    expect(await codeOf(await postChat(proxy.url))).toEqual([503, 'upstream_unavailable']);
  });

  it('that is too large for the account cools nothing down for the others', async () => {
    const { proxy } = await start((request, response) =>
      request.body.includes('large')
        ? answerJson(response, { error: { message: 'Request too large for gpt-4o', type: 'tokens', code: 'rate_limit_exceeded' } }, 429)
        : answerJson(response, chatAnswer),
    );
    expect(await codeOf(await postChat(proxy.url, { ...chatBody, messages: [{ role: 'user', content: 'large' }] }))).toEqual([
      429,
      'upstream_rate_limited',
    ]);
    expect((await postChat(proxy.url)).status).toBe(200);
  });

  it('that is itself at fault gets the body of the provider, byte for byte', async () => {
    const body = { error: { message: 'No such tool. ', type: 'invalid_request_error', param: 'tools', code: null }, odd: [1, 'ü'] };
    const { proxy } = await start((_request, response) => answerJson(response, body, 400));
    for (let count = 0; count < 8; count += 1) {
      const response = await postChat(proxy.url);
      expect([response.status, await response.text()]).toEqual([400, JSON.stringify(body)]);
    }
  });
});

it('a credential that is drawn for a repetition which is withheld is not left being tried out', async () => {
  let nowMs = 0;
  const health = makeChannelHealth({ now: () => nowMs });
  const channel = makeChannelRecord('http://127.0.0.1:1', { credentials: pool, circuitBreaker: { consecutiveFailures: 1000 } });
  const question = { channel, tenant: 'default', model: 'chat_completions gpt-4o', pinned: undefined };
  health.enter(question, pool[0])?.end({ kind: 'answered', verdict: 'credentialDead' });
  nowMs = 10_001;
  while (health.mayRepeat(channel)) nowMs += 0;
  const exchange = {
    key: { record: { id: 'default/app' } },
    surface: { name: 'chat_completions' },
    pinnedCredential: undefined,
    attempts: 0,
  } as unknown as Exchange;
  const withheld = { inc: vi.fn() };
  let random = 0.99;
  const parts = { health, random: () => random, metrics: { upstreamRetriesWithheld: withheld } } as unknown as Parts;
  const asked: string[] = [];
  await tryChannel({
    exchange,
    parts,
    candidate: { channel, upstreamModel: 'gpt-4o' },
    send: async (credential) => {
      asked.push(credential?.name ?? '');
      exchange.attempts += 1;
      random = 0;
      return { outcome: 'failed', reason: 'serverError', retryAfterMs: undefined };
    },
  });
  expect([asked, withheld.inc.mock.calls.length]).toEqual([['other'], 1]);
  expect(health.look(question)).toMatchObject({ credentials: [{ name: 'one' }, { name: 'other' }] });
});
