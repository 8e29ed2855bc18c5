import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, untilHolds } from '../support/eventually.ts';
import {
  channelManifests,
  type Installation,
  metric,
  type RunningProcess,
  startInstallation,
  untilReady,
  untilStatus,
  virtualKey,
} from './installation.ts';

let installation: Installation;
let key: string;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 2 });
  await installation.apply(channelManifests(installation.provider));
  await installation.apply(virtualKey('steady', '{ limits: { rpm: 100000, tpm: 100000000 } }'));
  key = await installation.deliveredKey('steady');
});
afterAll(async () => {
  await installation?.stop();
});

describe('the operator is killed', () => {
  it('traffic, expiry and a new proxy go on, and its successor carries on', async () => {
    const inTenSeconds = new Date(Date.now() + 10_000).toISOString();
    await installation.apply(virtualKey('ending', `{ expiresAt: "${inTenSeconds}" }`));
    const ending = await installation.deliveredKey('ending');
    await Promise.all(installation.proxies.map((proxy) => untilStatus(proxy, ending, 200)));
    installation.operator.process.kill('SIGKILL');
    await installation.operator.process.child.ended;

    for (const proxy of installation.proxies) expect(await status(proxy, key)).toBe(200);
    const late = await installation.startProxy();
    await untilReady(late);
    expect(await status(late, key)).toBe(200);
    await Promise.all([...installation.proxies, late].map((proxy) => untilStatus(proxy, ending, 401)));
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(inTenSeconds));
    await late.process.stop();

    installation.operator = await installation.startOperator();
    await installation.apply(virtualKey('after-restart'));
    // A killed leader leaves its Lease behind; the successor waits until it has run out.
    const [proxy] = installation.proxies;
    if (proxy === undefined) throw new Error('no proxy');
    const fresh = await eventually(() => installation.deliveredKey('after-restart'), { withinMs: 120_000 });
    expect(await status(proxy, fresh)).toBe(200);
  }, 240_000);
});

describe('the API server is killed', () => {
  it('traffic goes on; a restarted proxy starts from its cache, another says what it waits for', async () => {
    const cache = `${installation.directory}/cache`;
    const cached = await installation.startProxy({ KEYWRIGHT_SNAPSHOT_CACHE_DIR: cache });
    await untilReady(cached);
    await installation.controlPlane.killApiServer();
    await cached.process.stop();

    for (const proxy of installation.proxies) expect(await status(proxy, key)).toBe(200);
    const again = await installation.startProxy({ KEYWRIGHT_SNAPSHOT_CACHE_DIR: cache });
    await untilReady(again);
    expect(await status(again, key)).toBe(200);

    const cold = await installation.startProxy();
    const readiness = await fetch(`${cold.admin}/readyz`);
    expect(readiness.status).toBe(503);
    expect(await readiness.text()).toMatch(/snapshot/);
    expect((await fetch(`${cold.admin}/livez`)).status).toBe(200);
    expect(await status(cold, key)).toBe(503);

    await installation.controlPlane.startApiServer();
    await untilReady(cold);
    expect(await status(cold, key)).toBe(200);
    await Promise.all([again.process.stop(), cold.process.stop()]);

    await installation.apply(virtualKey('after-api-server'));
    const fresh = await eventually(() => installation.deliveredKey('after-api-server'), { withinMs: 60_000 });
    await Promise.all(installation.proxies.map((proxy) => untilStatus(proxy, fresh, 200)));
  }, 240_000);
});

describe('Redis is killed and comes back', () => {
  it('requests go on under LocalShare, the degraded metric is 1, and no client sees an error', async () => {
    const statuses = new Map<number, number>();
    let going = true;
    const load = installation.proxies.map(async (proxy) => {
      while (going) {
        const seen = await status(proxy, key);
        statuses.set(seen, (statuses.get(seen) ?? 0) + 1);
        await sleep(5);
      }
    });
    // by number, not by time: a busy machine answers few in a second
    const untilAnswered = async (more: number): Promise<void> => {
      const before = statuses.get(200) ?? 0;
      await untilHolds(() => expect((statuses.get(200) ?? 0) - before).toBeGreaterThanOrEqual(more));
    };
    await untilAnswered(30);
    await installation.redis.kill();
    for (const proxy of installation.proxies) {
      await untilHolds(async () => expect(await metric(proxy, 'keywright_limiter_degraded')).toEqual([1]));
    }
    const degraded = await chat(installation.proxies[0], key);
    expect(degraded.headers.get('x-keywright-degraded')).toBe('limits');
    await sleep(2_000);
    await untilAnswered(30);
    await installation.redis.start();
    for (const proxy of installation.proxies) {
      await untilHolds(async () => expect(await metric(proxy, 'keywright_limiter_degraded')).toEqual([0]));
    }
    await untilAnswered(30);
    going = false;
    await Promise.all(load);
    expect([...statuses.keys()]).toEqual([200]);
  }, 240_000);
});

async function chat(proxy: RunningProcess | undefined, apiKey: string): Promise<Response> {
  const answer = await fetch(`${proxy?.address}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}',
  });
  await answer.arrayBuffer();
  return answer;
}

async function status(proxy: RunningProcess, apiKey: string): Promise<number> {
  return (await chat(proxy, apiKey)).status;
}
