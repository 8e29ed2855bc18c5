import { describe, expect, it } from 'vitest';
import { Secret } from '../core/secret.ts';
import type { ChannelRecord, KeyBudget, KeyRecord } from '../core/snapshot.ts';
import { sha256Hex } from '../runtime/digest.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { toMetricsText } from '../runtime/metrics-text.ts';
import { chatAnswer, chatBody, postChat } from '../test/support/chat.ts';
import { untilHolds } from '../test/support/eventually.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../test/support/records.ts';
import { makeTestIndex, type TestProxy, type TestProxyOptions } from '../test/support/test-proxy.ts';
import { answerJson, type UpstreamHandler } from '../test/support/test-upstream.ts';
import { type ProxyAndUpstream, useProxy } from '../test/support/use-proxy.ts';

const startProxy = useProxy();

/** 1,000 nano-dollars a token in, 2,000 out. */
const models: ChannelRecord['models'] = [{ name: 'gpt-4o-mini', price: { input: 1e9, output: 2e9 } }];
const answering: UpstreamHandler = (_request, response) => answerJson(response, chatAnswer);
const once = { attempts: 0, on: [] } as const;

interface Given {
  readonly upstream?: UpstreamHandler;
  readonly keys?: readonly KeyRecord[];
  readonly channels?: (url: string) => readonly ChannelRecord[];
  readonly settings?: TestProxyOptions['settings'];
  readonly now?: () => number;
}

function start({ upstream = answering, keys = [makeKeyRecord()], channels, settings = {}, now }: Given = {}): Promise<ProxyAndUpstream> {
  return startProxy(upstream, (url) => ({
    channels: channels?.(url) ?? [makeChannelRecord(url, { models })],
    keys,
    settings,
    ...(now && { now, clock: { now, after: (ms, run) => ({ cancel: clearTimeout.bind(undefined, setTimeout(run, ms)) }) } }),
  }));
}

/** Series → value, without the buckets of histograms and what the process tells of itself. */
async function read(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await toMetricsText(metrics.registry)).split('\n').filter((line) => /^keywright_(?!event_loop|build)/.test(line));
  return new Map(
    lines
      .filter((line) => !line.includes('_bucket{'))
      .map((line) => [line.slice(10, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
  );
}

/** What a call makes of the metrics: series → by how much it rose. */
async function moved({ metrics }: TestProxy, call: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await read(metrics);
  await call();
  const changes = [...(await read(metrics))].map(([series, value]) => [series, value - (before.get(series) ?? 0)] as const);
  return Object.fromEntries(
    changes.filter(([, change]) => change !== 0).map(([series, change]) => [series, Math.round(change * 1e9) / 1e9]),
  );
}

const key = 'key="default/app"';
const chat = ({ proxy }: ProxyAndUpstream, changes: object = {}, headers: Record<string, string> = {}): Promise<Response> =>
  postChat(proxy.url, { ...chatBody, ...changes }, headers);
const budget = (changes: Partial<KeyBudget>): KeyBudget => ({
  period: 'Total',
  limitNanoUsd: 1e9,
  mode: 'Enforce',
  warnAt: [],
  ...changes,
});
const otherText = 'sk-kw-9876543210zyxwvutsrqponmlkjihgfedcba';
const other = (): KeyRecord => {
  const credential = { id: '000000000002', hash: sha256Hex(otherText), prefix: 'sk-kw-9876', state: 'Active' } as const;
  return makeKeyRecord({ id: 'team/other', uid: 'u2', credentials: [credential] });
};

describe('a request that is answered', () => {
  it('moves what it used, what it cost, who answered and how long it took', async () => {
    const usage = { ...chatAnswer.usage, prompt_tokens_details: { cached_tokens: 4 }, completion_tokens_details: { reasoning_tokens: 3 } };
    const world = await start({
      upstream: (_request, response) => answerJson(response, { ...chatAnswer, usage }),
      channels: (url) => [
        makeChannelRecord(url, { models: [{ name: 'gpt-4o-mini', price: { input: 1e9, cachedInput: 1e9, output: 2e9 } }] }),
      ],
    });
    expect(await moved(world.proxy, () => chat(world))).toEqual({
      [`requests_total{namespace="default",${key},status_class="2xx"}`]: 1,
      [`channel_requests_total{channel="default/openai",model="gpt-4o-mini",dialect="OpenAI",status="200"}`]: 1,
      [`tokens_total{${key},kind="input"}`]: 11,
      [`tokens_total{${key},kind="cached_input"}`]: 4,
      [`tokens_total{${key},kind="output"}`]: 7,
      [`tokens_total{${key},kind="reasoning"}`]: 3,
      [`cost_usd_total{${key}}`]: 0.000025,
      'channel_cost_usd_total{channel="default/openai",model="gpt-4o-mini"}': 0.000025,
      [`key_info{namespace="default",${key},team="",project=""}`]: 1,
      'upstream_requests_total{channel="default/openai",credential="main",outcome="ok"}': 1,
      'request_duration_seconds_count{dialect="OpenAI"}': 1,
      'request_duration_seconds_sum{dialect="OpenAI"}': expect.any(Number),
      'time_to_first_byte_seconds_count{dialect="OpenAI"}': 1,
      'time_to_first_byte_seconds_sum{dialect="OpenAI"}': expect.any(Number),
      'overhead_seconds_count{dialect="OpenAI"}': 1,
      'overhead_seconds_sum{dialect="OpenAI"}': expect.any(Number),
    });
  });

  it('without a price, or with more than was reserved, is told', async () => {
    const world = await start({
      keys: [makeKeyRecord({ limits: { tpm: 1_000_000 }, budgets: [budget({})] })],
      upstream: (_request, response) =>
        answerJson(response, { ...chatAnswer, usage: { prompt_tokens: 100_000, completion_tokens: 0, total_tokens: 100_000 } }),
    });
    const excess = await moved(world.proxy, () => chat(world, { max_tokens: 1 }));
    expect(excess).toMatchObject({ reservation_overshoot_tokens_count: 1, reservation_overshoot_usd_count: 1 });
    expect(excess['reservation_overshoot_tokens_sum']).toBeGreaterThan(99_000);
    expect(excess['reservation_overshoot_usd_sum']).toBeGreaterThan(0.09);
    world.proxy.index.channels = [makeChannelRecord(world.upstream.url, { models: [{ name: 'gpt-4o-mini', upstreamName: 'unknown' }] })];
    world.proxy.index.keys = makeTestIndex([makeKeyRecord()], []).keys;
    expect(await moved(world.proxy, () => chat(world))).toMatchObject({
      'unpriced_requests_total{channel="default/openai",model="gpt-4o-mini"}': 1,
    });
  });

  it('with a credential that a rotation has replaced is told of its key', async () => {
    const credentials = makeKeyRecord().credentials.map((credential) => ({ ...credential, state: 'Retiring' as const }));
    const world = await start({ keys: [makeKeyRecord({ credentials })] });
    expect(await moved(world.proxy, () => chat(world))).toMatchObject({ [`retiring_credential_requests_total{${key}}`]: 1 });
  });

  it('is in flight while it runs', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const world = await start({ upstream: (_request, response) => void promise.then(() => answerJson(response, chatAnswer)) });
    const running = chat(world);
    await untilHolds(async () => expect((await read(world.proxy.metrics)).get('in_flight_requests')).toBe(1));
    resolve();
    await running;
    await untilHolds(async () => expect((await read(world.proxy.metrics)).get('in_flight_requests')).toBe(0));
  });
});

describe('a request that is refused', () => {
  it.each<readonly [reason: string, code: string, send: (world: ProxyAndUpstream) => Promise<unknown>]>([
    ['missing', 'invalid_api_key', ({ proxy }) => fetch(`${proxy.url}/v1/models`)],
    ['unknown', 'invalid_api_key', (world) => chat(world, {}, { authorization: 'Bearer sk-kw-unknown' })],
    ['conflicting', 'conflicting_keys', (world) => chat(world, {}, { 'x-api-key': 'sk-kw-unknown' })],
    [
      'not_ready',
      'not_ready',
      (world) => {
        world.proxy.index.ready = false;
        return chat(world, {}, { authorization: 'Bearer sk-kw-unknown' });
      },
    ],
  ])('for its key (%s) is told of no key', async (reason, code, send) => {
    const world = await start();
    expect(await moved(world.proxy, () => send(world))).toMatchObject({
      [`auth_failures_total{reason="${reason}"}`]: 1,
      [`refusals_total{key="",reason="${code}"}`]: 1,
    });
  });

  it('since too many unknown keys have come is told as that', async () => {
    // its clock stands still: with time an address may guess again
    const nowMs = Date.now();
    const world = await start({ now: () => nowMs });
    const guess = (number: number) => chat(world, {}, { authorization: `Bearer guess-${number}` });
    for (let number = 0; number < 20; number += 1) await guess(number);
    expect(await moved(world.proxy, () => guess(20))).toMatchObject({
      'auth_failures_total{reason="too_many"}': 1,
      'refusals_total{key="",reason="too_many_attempts"}': 1,
    });
  });

  it.each<readonly [string, Partial<KeyRecord>]>([
    ['rate_limit_exceeded', { limits: { rpm: 0 } }],
    ['rate_limit_exceeded', { limits: { models: [{ model: 'gpt-*', tpm: 0 }] } }],
    ['insufficient_quota', { budgets: [budget({ limitNanoUsd: 1 })] }],
    ['model_not_allowed', { access: { models: ['o3'] } }],
    ['ip_not_allowed', { access: { cidrs: ['192.0.2.0/24'] } }],
    ['key_suspended', { state: 'Suspended' }],
  ])('%s is told of its key (%#)', async (code, changes) => {
    const world = await start({ keys: [makeKeyRecord(changes)] });
    const changed = await moved(world.proxy, () => chat(world));
    expect(changed).toMatchObject({ [`refusals_total{${key},reason="${code}"}`]: 1 });
    expect(Object.keys(changed).filter((series) => series.startsWith('requests_total{'))).toHaveLength(1);
    expect(Object.keys(changed).filter((series) => /^(?:tokens|cost|upstream|channel)_/.test(series))).toEqual([]);
  });

  it('by nothing but a limit in Shadow mode is answered, and told by the kind of limit', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const limits = { rpm: 0, concurrency: 1, mode: 'Shadow', models: [{ model: 'gpt-*', tpd: 0 }] } as const;
    const world = await start({
      keys: [makeKeyRecord({ limits, budgets: [budget({ limitNanoUsd: 1, mode: 'Shadow' })] })],
      upstream: (_request, response, number) =>
        void (number === 1 ? promise : Promise.resolve()).then(() => answerJson(response, chatAnswer)),
    });
    const running = chat(world);
    await untilHolds(() => expect(world.upstream.requests).toHaveLength(1));
    const shadow = (reason: string) => `shadow_refusals_total{${key},reason="${reason}"}`;
    expect(await moved(world.proxy, async () => expect((await chat(world)).status).toBe(200))).toMatchObject({
      [shadow('rpm')]: 1,
      [shadow('tpd')]: 1,
      [shadow('concurrency')]: 1,
      [shadow('budget')]: 1,
    });
    resolve();
    await running;
  });
});

describe('the way to a provider', () => {
  it('is told attempt by attempt: who was tried, what came of it, who answered', async () => {
    const world = await start({
      upstream: (request, response) => (request.url.startsWith('/bad') ? answerJson(response, {}, 500) : answering(request, response, 1)),
      channels: (url) => [
        makeChannelRecord(`${url}/bad`, { models, retries: { attempts: 1, on: ['ServerError'] } }),
        makeChannelRecord(url, { id: 'default/second', priority: 1, models }),
      ],
    });
    const changed = await moved(world.proxy, () => chat(world));
    expect(changed).toMatchObject({
      'upstream_requests_total{channel="default/openai",credential="main",outcome="serverError"}': 2,
      'upstream_retries_total{channel="default/openai"}': 1,
      'upstream_retries_total{channel="default/second"}': 1,
      'upstream_requests_total{channel="default/second",credential="main",outcome="ok"}': 1,
      'channel_requests_total{channel="default/second",model="gpt-4o-mini",dialect="OpenAI",status="200"}': 1,
    });
    expect(Object.keys(changed).filter((series) => series.startsWith('channel_requests_total{'))).toHaveLength(1);
  });

  it.each<readonly [outcome: string, status: number, upstream: UpstreamHandler]>([
    ['throttled', 429, (_request, response) => answerJson(response, {}, 429)],
    ['credentialDead', 503, (_request, response) => answerJson(response, {}, 401)],
    ['accountBroke', 503, (_request, response) => answerJson(response, { error: { code: 'insufficient_quota' } }, 429)],
    ['Reset', 503, (_request, response) => response.destroy()],
  ])('that ends with %s is told of the credential', async (outcome, status, upstream) => {
    const world = await start({ upstream, channels: (url) => [makeChannelRecord(url, { models, retries: once })] });
    const changed = await moved(world.proxy, async () => expect((await chat(world)).status).toBe(status));
    expect(changed).toMatchObject({ [`upstream_requests_total{channel="default/openai",credential="main",outcome="${outcome}"}`]: 1 });
  });

  it('that is closed by a limit of the Channel, or by nobody who listens, is told as that', async () => {
    const world = await start({ channels: (url) => [makeChannelRecord(url, { models, limits: { rpm: 0 } })] });
    expect(await moved(world.proxy, () => chat(world))).toMatchObject({
      'upstream_requests_total{channel="default/openai",credential="",outcome="channelFull"}': 1,
      [`refusals_total{${key},reason="upstream_rate_limited"}`]: 1,
    });
    world.proxy.index.channels = [makeChannelRecord('http://127.0.0.1:9', { models, retries: once })];
    expect(await moved(world.proxy, () => chat(world))).toMatchObject({
      'upstream_requests_total{channel="default/openai",credential="main",outcome="ConnectFailure"}': 1,
      [`refusals_total{${key},reason="upstream_unavailable"}`]: 1,
    });
  });

  it('that takes too long is told as that', async () => {
    const timeouts = { connectMs: 30_000, firstByteMs: 50, idleMs: 60_000, totalMs: 120_000 };
    const world = await start({ upstream: () => {}, channels: (url) => [makeChannelRecord(url, { models, retries: once, timeouts })] });
    expect(await moved(world.proxy, () => chat(world))).toMatchObject({
      'upstream_requests_total{channel="default/openai",credential="main",outcome="Timeout"}': 1,
      [`refusals_total{${key},reason="upstream_timeout"}`]: 1,
    });
  });

  it('shows a credential that is out of its pool, and a Channel whose breaker is open', async () => {
    const credentials = ['dead', 'alive'].map((name) => ({ name, weight: 1, secret: new Secret(name) }));
    const world = await start({
      upstream: (request, response) => {
        return request.headers.authorization === 'Bearer dead' ? answerJson(response, {}, 401) : answerJson(response, chatAnswer);
      },
      channels: (url) => [makeChannelRecord(url, { models, credentials, retries: once })],
    });
    const usable = async (name: string) =>
      (await read(world.proxy.metrics)).get(`channel_credential_usable{channel="default/openai",credential="${name}"}`);
    const breaker = async () => (await read(world.proxy.metrics)).get('channel_breaker_state{channel="default/openai"}');
    expect([await usable('dead'), await usable('alive'), await breaker()]).toEqual([1, 1, 0]);
    await chat(world);
    expect([await usable('dead'), await usable('alive'), await breaker()]).toEqual([0, 1, 0]);
    // no connection comes about, which is nobody's fault
    world.proxy.index.channels = [makeChannelRecord('http://127.0.0.1:9', { models, credentials, retries: once })];
    for (let turn = 0; turn < 5; turn += 1) await chat(world);
    expect(await breaker()).toBe(2);
  });

  it('shows a breaker that is open for the one namespace whose requests have failed', async () => {
    const world = await start({
      upstream: (_request, response) => answerJson(response, {}, 500),
      channels: (url) => [makeChannelRecord(url, { models, retries: once })],
    });
    const states = async () => {
      const seen = await read(world.proxy.metrics);
      return ['channel_breaker_state', 'channel_breaker_open_for_one'].map((name) => seen.get(`${name}{channel="default/openai"}`));
    };
    expect(await states()).toEqual([0, 0]);
    for (let turn = 0; turn < 5; turn += 1) await chat(world);
    expect(await states()).toEqual([0, 1]);
  });

  it('tells of repetitions that are not made', async () => {
    const world = await start({
      upstream: (_request, response) => answerJson(response, {}, 500),
      channels: (url) => [
        makeChannelRecord(url, {
          models,
          retries: { attempts: 1, on: ['ServerError'] },
          circuitBreaker: { consecutiveFailures: 1000, openMs: 1 },
        }),
      ],
    });
    const withheld = 'upstream_retries_withheld_total{channel="default/openai"}';
    for (let turn = 0; turn < 30 && !(await read(world.proxy.metrics)).has(withheld); turn += 1) await chat(world);
    expect((await read(world.proxy.metrics)).get(withheld)).toBeGreaterThan(0);
  });
});

describe('a stream', () => {
  const delta = 'data: {"choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n';
  const begin: UpstreamHandler = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(delta);
  };

  it('whose provider tells no usage is told as an estimate', async () => {
    const world = await start({
      upstream: (request, response, number) => {
        begin(request, response, number);
        response.end('data: [DONE]\n\n');
      },
    });
    const changed = await moved(world.proxy, async () => (await chat(world, { stream: true })).text());
    expect(changed).toMatchObject({ 'usage_estimated_total{reason="missing"}': 1 });
    expect(Object.keys(changed).filter((series) => series.startsWith('streams_aborted_total'))).toEqual([]);
  });

  it.each<readonly [side: string, end: (world: ProxyAndUpstream, leave: () => void) => void]>([
    ['client', (_world, leave) => leave()],
    ['gateway', ({ proxy }) => proxy.index.end('default/app', 'revoked')],
    ['upstream', ({ upstream }) => void upstream.close()],
  ])('that its %s ends early is told of that side', async (side, end) => {
    const world = await start({ upstream: begin });
    const leaving = new AbortController();
    const changed = await moved(world.proxy, async () => {
      const response = await fetch(`${world.proxy.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ...chatBody, stream: true }),
        signal: leaving.signal,
      });
      await response.body?.getReader().read();
      end(world, () => leaving.abort());
      await untilHolds(() => expect(world.proxy.accessLines()).toHaveLength(1));
    });
    expect(changed).toMatchObject({
      [`streams_aborted_total{side="${side}"}`]: 1,
      [`usage_estimated_total{reason="${side}"}`]: 1,
      [`tokens_total{${key},kind="output"}`]: expect.any(Number),
      [`cost_usd_total{${key}}`]: expect.any(Number),
    });
  });
});

describe('labels', () => {
  it('are those of so many keys; the others are one, and a model that no Channel lists is none', async () => {
    const world = await start({
      keys: [makeKeyRecord(), other()],
      settings: { maxKeySeries: 1 },
      channels: (url) => [makeChannelRecord(url)],
    });
    await chat(world, { model: 'made-up-by-the-client' });
    const changed = await moved(world.proxy, () => chat(world, { model: 'another' }, { authorization: `Bearer ${otherText}` }));
    expect(changed).toMatchObject({
      'requests_total{namespace="other",key="other",status_class="2xx"}': 1,
      'tokens_total{key="other",kind="input"}': 11,
      'channel_requests_total{channel="default/openai",model="other",dialect="OpenAI",status="200"}': 1,
    });
    const text = await toMetricsText(world.proxy.metrics.registry);
    for (const name of ['team/other', 'made-up-by-the-client', 'another']) expect(text).not.toContain(name);
  });

  it('of an owner are in one series a key: that of its last request', async () => {
    const world = await start({ keys: [makeKeyRecord({ owner: { team: 'search', project: 'one' } })] });
    const infos = async () => [...(await read(world.proxy.metrics)).keys()].filter((series) => series.startsWith('key_info'));
    const info = (team: string, project: string) => `key_info{namespace="default",${key},team="${team}",project="${project}"}`;
    await chat(world);
    await chat(world);
    expect(await infos()).toEqual([info('search', 'one')]);
    for (const [owner, shown] of [
      [{ team: 'ads', project: 'one' }, info('ads', 'one')],
      [{ team: 'ads', project: 'one' }, info('ads', 'one')],
      [undefined, info('', '')],
      [{ project: 'two' }, info('', 'two')],
    ] as const) {
      world.proxy.index.keys = makeTestIndex([makeKeyRecord(owner === undefined ? {} : { owner })], []).keys;
      await chat(world);
      expect(await infos()).toEqual([shown]);
    }
  });

  it('of a key that was idle for a day make room, its owner with them, and come back with it', async () => {
    let nowMs = Date.now();
    const owner = { team: 'search' };
    const world = await start({ keys: [makeKeyRecord({ owner }), other()], settings: { maxKeySeries: 1 }, now: () => nowMs });
    const of = async (id: string) => [...(await read(world.proxy.metrics)).keys()].filter((series) => series.includes(`key="${id}"`));
    await chat(world);
    expect(await of('default/app')).toContain(`key_info{namespace="default",${key},team="search",project=""}`);
    nowMs += 86_400_000;
    await chat(world, {}, { authorization: `Bearer ${otherText}` });
    await untilHolds(async () => expect(await of('default/app')).toEqual([]));
    expect(await of('team/other')).toContain('key_info{namespace="team",key="team/other",team="",project=""}');
    nowMs += 86_400_000;
    await chat(world);
    await untilHolds(async () => expect(await of('team/other')).toEqual([]));
    expect(await of('default/app')).toContain(`key_info{namespace="default",${key},team="search",project=""}`);
  });
});
