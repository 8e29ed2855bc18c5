import { afterEach, describe, expect, it } from 'vitest';
import { chatAnswer, chatBody, postChat } from '../../test/support/chat.ts';
import { makeChannelRecord, makeKeyRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../../test/support/test-proxy.ts';
import { answerJson, startUpstream } from '../../test/support/test-upstream.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function start(): Promise<TestProxy> {
  const upstream = await startUpstream((_request, response) => answerJson(response, chatAnswer));
  ends.push(() => upstream.close());
  const proxy = await startTestProxy({
    channels: [makeChannelRecord(upstream.url)],
    keys: [makeKeyRecord({ limits: { tpm: 1_000_000 } })],
  });
  ends.push(() => proxy.stop());
  return proxy;
}

describe('the tokens that are reserved', () => {
  const reserved = async (proxy: TestProxy, body: object): Promise<number> => {
    expect((await postChat(proxy.url, { ...chatBody, ...body })).status).toBe(200);
    return proxy.counters.admissions.at(-1)?.tokens ?? Number.NaN;
  };

  it('do not grow with the bytes of an image', async () => {
    const proxy = await start();
    const image = (bytes: number): object => ({ type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(bytes)}` } });
    const small = await reserved(proxy, { messages: [{ role: 'user', content: [image(100)] }] });
    expect(await reserved(proxy, { messages: [{ role: 'user', content: [image(600_000)] }] })).toBe(small);
    expect(small).toBeGreaterThan(1000 + 512);
  });

  it('are what is allowed for all choices together, where that is little', async () => {
    const proxy = await start();
    const one = await reserved(proxy, { max_tokens: 20 });
    expect(await reserved(proxy, { max_tokens: 20, n: 4 })).toBe(one + 60);
  });

  it('are what is known of this key and model, once that is enough', async () => {
    const proxy = await start();
    const first = await reserved(proxy, {});
    for (let answer = 1; answer < 10; answer += 1) await reserved(proxy, {});
    // ten answers of 7 tokens: the step that holds them ends at 8
    expect(await reserved(proxy, {})).toBe(first - 512 + 8);
    expect(await reserved(proxy, { model: 'gpt-4o-xxxx' })).toBe(first);
  });
});
