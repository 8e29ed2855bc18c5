import { afterEach, describe, expect, it } from 'vitest';
import type { KeyRecord } from '../../core/snapshot.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { chatAnswer, postChat } from '../../test/support/chat.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../../test/support/test-proxy.ts';
import { answerJson, startUpstream } from '../../test/support/test-upstream.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function start(changes: Partial<KeyRecord> = {}): Promise<TestProxy> {
  const upstream = await startUpstream((_request, response) => answerJson(response, chatAnswer));
  ends.push(() => upstream.close());
  const proxy = await startTestProxy({ channels: [makeChannelRecord(upstream.url)], keys: [makeKeyRecord(changes)] });
  ends.push(() => proxy.stop());
  return proxy;
}

const ask = (proxy: TestProxy, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${proxy.url}/v1/keys/self`, { headers: { authorization: `Bearer ${keyText}`, ...headers } });

describe('GET /v1/keys/self', () => {
  it('tells what the key is, what it may use and what it has used', async () => {
    const proxy = await start({
      expiresAt: Date.UTC(2100, 0, 1),
      limits: { rpm: 10, tpm: 1000, concurrency: 4, models: [{ model: 'gpt-4o*', rpd: 5 }] },
    });
    await postChat(proxy.url);
    const response = await ask(proxy);
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('x-keywright-key')).toBe('default/app');
    const common = { mode: 'Enforce', resetsAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) };
    expect(await response.json()).toEqual({
      id: 'default/app',
      namespace: 'default',
      name: 'app',
      prefix: 'sk-kw-0123',
      state: 'Active',
      credential: 'Active',
      expiresAt: '2100-01-01T00:00:00.000Z',
      asOf: expect.any(String),
      degraded: false,
      limits: [
        { name: 'rpm', unit: 'requests', window: 'minute', limit: 10, used: 1, remaining: 9, ...common },
        { name: 'tpm', unit: 'tokens', window: 'minute', limit: 1000, used: 18, remaining: 982, ...common },
        { name: 'rpd:gpt-4o*', unit: 'requests', window: 'day', limit: 5, used: 1, remaining: 4, ...common },
        { name: 'concurrency', unit: 'requests', window: 'now', limit: 4, used: 0, remaining: 4, mode: 'Enforce' },
      ],
      budgets: [],
    });
  });

  it('tells what is left of its budgets', async () => {
    const proxy = await start({
      budgets: [
        { period: 'Monthly', limitNanoUsd: 12_500_000_000, mode: 'Enforce', warnAt: [] },
        { period: 'Total', limitNanoUsd: 1_000_000_000, mode: 'Shadow', warnAt: [] },
      ],
    });
    await postChat(proxy.url);
    // gpt-4o-mini: 11 tokens in at 0.15 USD a million, 7 out at 0.60
    const spent = '0.00000585';
    expect(await (await ask(proxy)).json()).toMatchObject({
      budgets: [
        {
          period: 'Monthly',
          window: expect.stringMatching(/^\d{4}-\d\d$/),
          limit: '12.5',
          spent,
          reserved: '0',
          remaining: '12.49999415',
          mode: 'Enforce',
        },
        { period: 'Total', window: 'total', limit: '1', spent, remaining: '0.99999415', resetsAt: null, mode: 'Shadow' },
      ],
    });
  });

  it('counts against nothing', async () => {
    const proxy = await start({ limits: { rpm: 1 } });
    for (let time = 0; time < 3; time += 1) expect((await ask(proxy)).status).toBe(200);
    expect((await postChat(proxy.url)).status).toBe(200);
    expect(proxy.counters.settlements).toHaveLength(1);
  });

  it('says when an overlap ends, where that comes before the key itself', async () => {
    const credential = {
      id: '000000000001',
      hash: sha256Hex(keyText),
      prefix: '',
      state: 'Retiring',
      notAfter: Date.UTC(2099, 0, 1),
    } as const;
    const proxy = await start({ expiresAt: Date.UTC(2100, 0, 1), credentials: [credential] });
    expect(await (await ask(proxy)).json()).toMatchObject({ credential: 'Retiring', expiresAt: '2099-01-01T00:00:00.000Z', limits: [] });
  });

  it('is for keys that may read, and refuses in the dialect that is spoken', async () => {
    const proxy = await start({ access: { scopes: ['embeddings'] } });
    const refused = await ask(proxy, { 'anthropic-version': '2023-06-01' });
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ type: 'error', error: { type: 'permission_error' } });
    expect((await fetch(`${proxy.url}/v1/keys/self`)).status).toBe(401);
    expect((await fetch(`${proxy.url}/v1/keys/self`, { method: 'POST' })).status).toBe(405);
    expect((await fetch(`${proxy.url}/v1/keys/other`)).status).toBe(404);
  });

  it('does not guess while the store is away, and says so where figures are of this proxy alone', async () => {
    const proxy = await start({ limits: { rpm: 10 } });
    proxy.counters.peek = async () => ({ outcome: 'unavailable' });
    const away = await ask(proxy);
    expect(away.status).toBe(503);
    expect(await away.json()).toMatchObject({ error: { code: 'limiter_unavailable' } });
    proxy.counters.peek = async () => ({ outcome: 'known', timeMs: Date.now(), windows: [], inFlight: 0, budgets: [], degraded: true });
    const degraded = await ask(proxy);
    expect(degraded.headers.get('x-keywright-degraded')).toBe('limits');
    expect(await degraded.json()).toMatchObject({ degraded: true });
  });
});
