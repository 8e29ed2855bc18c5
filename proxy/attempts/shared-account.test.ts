import { afterEach, describe, expect, it } from 'vitest';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { chatAnswer, chatBody, postChat } from '../../test/support/chat.ts';
import { makeChannelRecord, makeKeyRecord, keyText } from '../../test/support/records.ts';
import { startTestProxy } from '../../test/support/test-proxy.ts';
import { answerJson, startUpstream, type TestUpstream } from '../../test/support/test-upstream.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const otherText = 'sk-kw-other000123456789abcdefghijklmnop';
const other = makeKeyRecord({
  id: 'other/app',
  uid: 'u2',
  credentials: [{ id: '000000000002', hash: sha256Hex(otherText), prefix: '', state: 'Active' }],
});

async function start(...accounts: readonly ChannelRecord['sharedAccount'][]): Promise<{ url: string; upstream: TestUpstream }> {
  const upstream = await startUpstream((_request, response) => answerJson(response, chatAnswer));
  ends.push(() => upstream.close());
  const channels = accounts.map((sharedAccount, index) =>
    makeChannelRecord(upstream.url, {
      id: `default/c${index}`,
      headers: { 'x-channel': String(index) },
      ...(sharedAccount === undefined ? {} : { sharedAccount }),
    }),
  );
  const proxy = await startTestProxy({ channels, keys: [makeKeyRecord(), other] });
  ends.push(() => proxy.stop());
  return { url: proxy.url, upstream };
}

const bodyOf = (upstream: TestUpstream): Record<string, string> =>
  JSON.parse(upstream.requests.at(-1)?.body ?? '') as Record<string, string>;
const postResponse = (url: string, body: object): Promise<Response> =>
  fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-5', input: 'x', ...body }),
  });

describe('a Channel that keeps its tenants apart', () => {
  it('does nothing unless it is asked to', async () => {
    const { url, upstream } = await start(undefined);
    const body = JSON.stringify({ ...chatBody, prompt_cache_key: 'mine', safety_identifier: 'me', service_tier: 'priority' });
    expect((await postChat(url, body)).status).toBe(200);
    expect(upstream.requests[0]?.body).toBe(body);
  });

  it('gives each key a prompt cache of its own, whether or not it names one', async () => {
    const { url, upstream } = await start({ promptCacheKey: 'Prefix' });
    await postChat(url, { ...chatBody, prompt_cache_key: 'mine' });
    const [prefix = '', rest] = (bodyOf(upstream)['prompt_cache_key'] ?? '').split('-');
    expect(prefix).toMatch(/^[0-9a-f]{16}$/);
    expect(rest).toBe('mine');
    await postChat(url, chatBody);
    expect(bodyOf(upstream)['prompt_cache_key']).toBe(prefix);
    await postResponse(url, { prompt_cache_key: 'x'.repeat(64) });
    expect(bodyOf(upstream)['prompt_cache_key']).toMatch(new RegExp(`^${prefix}-[0-9a-f]{32}$`));
    await postResponse(url, { prompt_cache_key: 'x'.repeat(5000) });
    expect(upstream.requests.at(-1)?.body.match(/prompt_cache_key/g)).toHaveLength(1);
    expect(bodyOf(upstream)['prompt_cache_key']).toMatch(new RegExp(`^${prefix}`));
    await postChat(url, { ...chatBody, prompt_cache_key: 'mine' }, { authorization: `Bearer ${otherText}` });
    expect(bodyOf(upstream)['prompt_cache_key']).toMatch(/^[0-9a-f]{16}-mine$/);
    expect(bodyOf(upstream)['prompt_cache_key']).not.toContain(prefix);
  });

  it('says which key it was, and not what the client says', async () => {
    const { url, upstream } = await start({ safetyIdentifier: 'FromKey' });
    await postResponse(url, { safety_identifier: 'somebody else' });
    const mine = bodyOf(upstream)['safety_identifier'];
    expect(mine).toMatch(/^[0-9a-f]{32}$/);
    await postChat(url, chatBody);
    expect(bodyOf(upstream)['safety_identifier']).toBe(mine);
    await postChat(url, chatBody, { authorization: `Bearer ${otherText}` });
    expect(bodyOf(upstream)['safety_identifier']).toMatch(/^[0-9a-f]{32}$/);
    expect(bodyOf(upstream)['safety_identifier']).not.toBe(mine);
    expect(JSON.stringify(upstream.requests)).not.toContain('default/app');
  });

  it('lets clients ask for the tiers that it lists, and a request goes where its tier is listed', async () => {
    const { url, upstream } = await start({ serviceTiers: ['default', 'flex'] }, { serviceTiers: ['priority'] });
    expect((await postChat(url, { ...chatBody, service_tier: 'flex' })).status).toBe(200);
    expect(upstream.requests.at(-1)?.headers['x-channel']).toBe('0');
    expect((await postResponse(url, { service_tier: 'priority', store: false })).status).toBe(200);
    expect(upstream.requests.at(-1)?.headers['x-channel']).toBe('1');
    expect((await postChat(url, { ...chatBody, service_tier: null })).status).toBe(200);
    const refused = await postChat(url, { ...chatBody, service_tier: 'scale' });
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ error: { code: 'invalid_request', param: 'service_tier' } });
    expect(upstream.requests).toHaveLength(3);
  });
});
