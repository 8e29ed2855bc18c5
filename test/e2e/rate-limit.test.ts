import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilHolds } from '../support/eventually.ts';
import { type Charge, mostInAnySpan, utilisationOf } from '../support/spans.ts';
import { channelManifests, type Installation, type RunningProcess, startInstallation, virtualKey } from './installation.ts';

const limit = 60;
const windowMs = 60_000;
const hammerMs = 180_000;

let installation: Installation;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 2 });
  await installation.apply(channelManifests(installation.provider));
});
afterAll(async () => {
  await installation?.stop();
});

describe('limits: {rpm: 60} over two proxies', () => {
  it.concurrent('never admits more than 60 in any 60 s of Redis, and at least 0.95 of it, in three minutes of hammering from a random phase', async () => {
    await installation.apply(virtualKey('hammered', `{ limits: { rpm: ${limit} } }`));
    const key = await installation.deliveredKey('hammered');
    const phaseMs = Math.floor(Math.random() * 4_000);
    await sleep(phaseMs);

    const until = Date.now() + hammerMs;
    const statuses = (
      await Promise.all(installation.proxies.flatMap((proxy) => [hammer(proxy, key, until), hammer(proxy, key, until)]))
    ).flat();
    expect(new Set(statuses)).toEqual(new Set([200, 429]));

    // an access line may come after the answer that it is about
    await untilHolds(() => expect(admitted('default/hammered').length).toBe(statuses.filter((status) => status === 200).length));
    const charges = admitted('default/hammered');
    const most = mostInAnySpan(charges, windowMs);
    const untilMs = charges.reduce((latest, { atMs }) => Math.max(latest, atMs), 0);
    const utilisation = utilisationOf(charges, { limit, spanMs: windowMs, untilMs }).ratio;
    process.stdout.write(
      `rpm ${limit}, phase ${phaseMs} ms: admitted ${charges.length}, most in any 60 s ${most}, utilisation ${utilisation.toFixed(3)}\n`,
    );
    expect(most).toBeLessThanOrEqual(limit);
    expect(utilisation).toBeGreaterThanOrEqual(0.95);
  }, 300_000);

  it.concurrent('admits a client that obeys retry-after-ms at its first retry', async () => {
    await installation.apply(virtualKey('obedient', '{ limits: { rpm: 3 } }'));
    const key = await installation.deliveredKey('obedient');
    const [proxy] = installation.proxies;
    if (proxy === undefined) throw new Error('no proxy');
    for (let round = 0; round < 3; round += 1) expect((await call(proxy, key)).status).toBe(200);
    const refused = await call(proxy, key);
    expect(refused.status).toBe(429);
    const retryAfterMs = Number(refused.headers.get('retry-after-ms'));
    expect(retryAfterMs).toBeGreaterThan(0);
    expect(retryAfterMs).toBeLessThanOrEqual(62_250);
    expect(Number(refused.headers.get('retry-after'))).toBe(Math.ceil(retryAfterMs / 1_000));
    await sleep(retryAfterMs);
    expect((await call(proxy, key)).status).toBe(200);
  }, 240_000);

  it('changes nothing in Redis by a refusal', async () => {
    await installation.apply(virtualKey('full', '{ limits: { rpm: 1, tpm: 100000, rpd: 100 } }'));
    const key = await installation.deliveredKey('full');
    const [first, second] = installation.proxies;
    if (first === undefined || second === undefined) throw new Error('two proxies are needed');
    expect((await call(first, key)).status).toBe(200);
    await sleep(300); // the settlement of the admitted one is batched
    const before = await dump();
    expect((await call(second, key)).status).toBe(429);
    expect((await call(first, key)).status).toBe(429);
    await sleep(300);
    const after = await dump();
    expect(before.size).toBeGreaterThan(0);
    expect(after).toEqual(before);
  });
});

async function hammer(proxy: RunningProcess, key: string, until: number): Promise<number[]> {
  const statuses: number[] = [];
  while (Date.now() < until) {
    statuses.push((await call(proxy, key)).status);
    await sleep(15);
  }
  return statuses;
}

async function call(proxy: RunningProcess, key: string): Promise<Response> {
  const answer = await fetch(`${proxy.address}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}',
  });
  await answer.arrayBuffer();
  return answer;
}

/** By Redis' clock at each admission, from the access lines of both proxies. */
function admitted(keyId: string): Charge[] {
  return installation.proxies
    .flatMap((proxy) => proxy.process.lines)
    .filter((line) => line['event'] === 'access' && line['key'] === keyId && line['status'] === 200)
    .map((line) => ({ atMs: Number(line['limiter_time_ms']), amount: 1 }));
}

/** Every key of the limits of `default/full`, with its serialised value. */
async function dump(): Promise<Map<string, string>> {
  const names = (await installation.redis.cli('KEYS', '*full*')) as string[];
  return new Map(
    await Promise.all(names.toSorted().map(async (name) => [name, String(await installation.redis.cli('DUMP', name))] as const)),
  );
}
