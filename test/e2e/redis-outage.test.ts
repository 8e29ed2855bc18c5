import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { slotsKey } from '../../core/limit-keys.ts';
import { type LoadResult, saturate } from '../prove/limits-load.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import { type Charge, mostInAnySpan } from '../support/spans.ts';
import { channelManifests, type Installation, metric, startInstallation, virtualKey } from './installation.ts';

const limit = 90;
const replicas = 3;
/** How long a slot or a reservation that nobody settles is held, and the time that is given beyond it. */
const holdMs = 30_000;
const graceMs = 20_000;

let installation: Installation;

beforeAll(async () => {
  installation = await startInstallation({
    proxies: replicas,
    // a stream that goes on until its client or its proxy ends
    behaviour: ({ json }) => ((json as { stream?: boolean }).stream === true ? { chunks: 2_000, chunkDelayMs: 100 } : undefined),
  });
  await installation.apply(channelManifests(installation.provider));
});
afterAll(async () => {
  await installation?.stop();
});

describe('three proxies under load', () => {
  it('answer nothing but 200 and 429 while Redis forgets scripts, hangs, and restarts empty again and again, and let in at most twice the limit', async () => {
    await installation.apply(virtualKey('faults', `{ limits: { rpm: ${limit} } }`));
    const apiKey = await installation.deliveredKey('faults');
    await eventually(async () => (await living()).every((count) => count === replicas));
    const untilMs = performance.now() + 25_000;
    const load = saturate(installation.proxies, { apiKey, body: body(), manner: 'polling', clients: 2, everyMs: 40 }, untilMs);
    await sleep(6_000);
    await makeFaults();
    const result: LoadResult = await load;
    expect(result.others).toEqual([]);
    expect(result.refused).toBeGreaterThan(0);
    // an access line may come after the answer that it is about
    await untilHolds(() => expect(admitted('default/faults').length).toBe(result.admitted));
    const charges = admitted('default/faults');
    // one window holds the whole of this test
    expect(mostInAnySpan(charges, 60_000)).toBeLessThanOrEqual(2 * limit);
    await eventually(async () => (await degraded()).every((value) => value === 0));
    // and Redis knows of what still counts: it lets nothing more in
    const [proxy] = installation.proxies;
    expect((await fetch(`${proxy?.address}/v1/chat/completions`, call(apiKey, body()))).status).toBe(429);
  }, 90_000);

  it('free the slots of one that was killed within their deadline, and what it held of tokens is used', async () => {
    await installation.apply(virtualKey('killed', '{ limits: { concurrency: 2, tpm: 100000 } }'));
    const apiKey = await installation.deliveredKey('killed');
    const victim = await installation.startProxy();
    await eventually(async () => (await fetch(`${victim.admin}/readyz`)).status === 200);
    const streams = [1, 2].map(() => fetch(`${victim.address}/v1/chat/completions`, call(apiKey, body({ stream: true }))));
    for (const answer of await Promise.all(streams)) expect(answer.status).toBe(200);
    expect(await slotsTaken('default/killed')).toBe(2);
    victim.process.kill();
    const killedMs = performance.now();
    const [other] = installation.proxies;
    const ask = () => fetch(`${other?.address}/v1/chat/completions`, call(apiKey, body()));
    expect((await ask()).status).toBe(429);
    await eventually(async () => (await slotsTaken('default/killed')) === 0, { withinMs: holdMs + graceMs, everyMs: 250 });
    expect(performance.now() - killedMs).toBeLessThanOrEqual(holdMs + graceMs);
    const answer = await ask();
    expect(answer.status).toBe(200);
    // two estimates of 512 and more stay charged
    expect(Number(answer.headers.get('x-ratelimit-remaining-tokens'))).toBeLessThan(100_000 - 2 * 512);
  }, 90_000);
});

async function makeFaults(): Promise<void> {
  const { redis } = installation;
  await redis.cli('SCRIPT', 'FLUSH');
  await sleep(500);
  await redis.pause();
  await sleep(1_500);
  await redis.resume();
  for (let round = 0; round < 3; round += 1) {
    await sleep(1_500);
    await redis.kill();
    await sleep(1_000);
    await redis.start();
  }
}

function body(more: object = {}): string {
  return JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }], ...more });
}

function call(apiKey: string, content: string): RequestInit {
  return { method: 'POST', headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }, body: content };
}

function admitted(keyId: string): Charge[] {
  return installation.proxies
    .flatMap((proxy) => proxy.process.lines)
    .filter((line) => line['event'] === 'access' && line['key'] === keyId && line['status'] === 200)
    .map((line) => ({ atMs: Number(line['limiter_time_ms']), amount: 1 }));
}

/** Slots whose deadline has not passed, by Redis' own clock. */
async function slotsTaken(keyId: string): Promise<number> {
  const script = "local t = redis.call('TIME') return redis.call('ZCOUNT', KEYS[1], t[1] * 1000 + math.floor(t[2] / 1000), '+inf')";
  return Number(await installation.redis.cli('EVAL', script, '1', slotsKey(keyId)));
}

function living(): Promise<number[]> {
  return Promise.all(installation.proxies.map(async (proxy) => (await metric(proxy, 'keywright_proxies_living'))[0] ?? 0));
}

function degraded(): Promise<number[]> {
  return Promise.all(installation.proxies.map(async (proxy) => (await metric(proxy, 'keywright_limiter_degraded'))[0] ?? 1));
}
