import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Metrics } from '../../runtime/metrics.ts';
import { type CountersProxy, makeAdmission, settleAdmission, useCountersProxies } from '../../test/support/counters-proxies.ts';
import { useRedis } from '../../test/support/use-redis.ts';
import type { Admission, LimitWindow, Settlement } from './counters.ts';
import type { SharedCounters } from './shared-counters.ts';

/** A client that asks for one request after the other is not refused by what its former one had reserved. */
const tpm: LimitWindow = { name: 'tpm', unit: 'tokens', span: 'minute', limit: 100, shadow: false };
const rpm: LimitWindow = { name: 'rpm', unit: 'requests', span: 'minute', limit: 1, shadow: false };
const budgets = [{ period: 'Daily', limitNanoUsd: 1_000, shadow: false }] as const;
const restoreTimes = { giveUpMs: 200, listenMs: 20, askEveryMs: 50, pollMs: 10 };

const server = useRedis();
const proxyPool = useCountersProxies(() => ({ url: server.url, replicas: 1, restoreTimes }));
/** as a proxy runs: with everything that it remembers */
const start = () => proxyPool.start({ remembers: true });

async function sent(metrics: Metrics, command: string): Promise<number> {
  const found = (await metrics.registry.getMetricsAsJSON()).find(({ name }) => name === 'keywright_limiter_commands_total');
  return found?.values.find(({ labels }) => labels['command'] === command)?.value ?? 0;
}

function settleCost(counters: SharedCounters, { requestId, keyId, concurrency }: Admission, costNanoUsd: number): void {
  const ended = { requestId, keyId, windows: [], tokens: 0, concurrency: concurrency !== undefined, refundRequest: false };
  counters.settle({ ...ended, money: { budgets, costNanoUsd } });
}

describe('a client that sends one request after the other', () => {
  it('has the tokens again that its former request did not use', async () => {
    const { counters, metrics } = await start();
    for (let count = 0; count < 9; count += 1) {
      const admission = makeAdmission([tpm], { tokens: 90 });
      expect(await counters.admit(admission), `request ${count}`).toMatchObject({ outcome: 'admitted', degraded: false });
      settleAdmission(counters, admission, 1);
    }
    // each but the first is asked for once more, where no batch went meanwhile by itself
    expect(await sent(metrics, 'admit')).toBeLessThanOrEqual(17);
    expect(await sent(metrics, 'settle')).toBeLessThanOrEqual(9);
  });

  it('has the money again', async () => {
    const { counters } = await start();
    for (const concurrency of [undefined, { limit: 1, shadow: false }]) {
      for (let count = 0; count < 5; count += 1) {
        const money = { budgets, boundNanoUsd: 900, floorNanoUsd: 1 };
        const admission = makeAdmission([], { money, ...(concurrency && { concurrency }) });
        expect(await counters.admit(admission), `request ${count}`).toMatchObject({ outcome: 'admitted', degraded: false });
        settleCost(counters, admission, 10);
      }
    }
  });

  it('has a request again of which nothing came', async () => {
    const { counters } = await start();
    for (let count = 0; count < 5; count += 1) {
      const admission = makeAdmission([rpm]);
      expect(await counters.admit(admission), `request ${count}`).toMatchObject({ outcome: 'admitted' });
      const { requestId, keyId, windows } = admission;
      counters.settle({ requestId, keyId, windows, tokens: 0, concurrency: false, refundRequest: true });
    }
  });

  it('is told what stands after its former request, not before', async () => {
    const { counters } = await start();
    const first = makeAdmission([tpm], { tokens: 90 });
    await counters.admit(first);
    settleAdmission(counters, first, 80);
    expect(await counters.admit(makeAdmission([tpm], { tokens: 90 }))).toMatchObject({ outcome: 'refused', windows: [{ remaining: 20 }] });
    expect(await counters.admit(makeAdmission([tpm], { tokens: 20 }))).toMatchObject({ outcome: 'admitted' });
  });
});

describe('a refusal', () => {
  it('is asked for once where nothing of the key has ended, and then remembered', async () => {
    const { counters, metrics } = await start();
    const [running, other] = [makeAdmission([tpm], { tokens: 90 }), makeAdmission([tpm], { tokens: 90, keyId: 'team-a/other' })];
    await counters.admit(running);
    await counters.admit(other);
    settleAdmission(counters, other, 1);
    counters.renew(running, 5);
    for (let count = 0; count < 100; count += 1) {
      expect(await counters.admit(makeAdmission([tpm], { tokens: 90 }))).toMatchObject({ outcome: 'refused', limitName: 'tpm' });
    }
    expect(await sent(metrics, 'admit')).toBe(3);
  });

  it('costs at most one more question and one settlement sent early, however many hammer and end', async () => {
    const { counters, metrics } = await start();
    const running = makeAdmission([{ ...tpm, limit: 1_000 }], { tokens: 900 });
    await counters.admit(running);
    const ended = 10;
    let refused = 0;
    for (let round = 0; round < ended; round += 1) {
      const short = makeAdmission([{ ...tpm, limit: 1_000 }], { tokens: 1 });
      expect(await counters.admit(short)).toMatchObject({ outcome: 'admitted' });
      settleAdmission(counters, short, 1);
      for (let count = 0; count < 50; count += 1) {
        const answer = await counters.admit(makeAdmission([{ ...tpm, limit: 1_000 }], { tokens: 500 }));
        if (answer.outcome === 'refused') refused += 1;
      }
    }
    expect(refused).toBe(ended * 50);
    // the long one, and for each short one itself, the refusal, and the refusal once more
    expect(await sent(metrics, 'admit')).toBeLessThanOrEqual(1 + ended * 3);
    expect(await sent(metrics, 'settle')).toBeLessThanOrEqual(ended);
  });
});

describe('a client whose next request reaches another proxy', () => {
  const money = { budgets, boundNanoUsd: 900, floorNanoUsd: 1 };
  const ending = (admission: Admission, rest: Partial<Settlement>): Settlement => {
    const { requestId, keyId, windows } = admission;
    return { requestId, keyId, windows, tokens: 0, concurrency: false, refundRequest: false, ...rest };
  };
  it.each([
    ['tokens', () => makeAdmission([tpm], { tokens: 90 }), { tokens: 1 }],
    ['money', () => makeAdmission([], { money }), { money: { budgets, costNanoUsd: 10 } }],
    ['a request of which nothing came', () => makeAdmission([rpm]), { refundRequest: true }],
  ])('is not refused by its own former one: %s', async (_what, make, used) => {
    const proxies = [await start(), await start()];
    for (let count = 0; count < 10; count += 1) {
      const { counters } = proxies[count % 2] as CountersProxy;
      const admission = make();
      expect(await counters.admit(admission), `request ${count}`).toMatchObject({ outcome: 'admitted', degraded: false });
      counters.settle(ending(admission, used));
      // no client is faster
      await sleep(1);
    }
    const asked = await Promise.all(proxies.map(({ metrics }) => sent(metrics, 'admit')));
    // the first of a budget that is new to Redis is asked for once more
    expect((asked[0] ?? 0) + (asked[1] ?? 0)).toBeLessThanOrEqual(11);
  });

  it('costs Redis nothing more while its limits are far', async () => {
    const { counters, metrics } = await start();
    const wide = [
      { ...tpm, limit: 100_000 },
      { ...rpm, limit: 1_000 },
    ];
    const far = { budgets: [{ period: 'Daily', limitNanoUsd: 1_000_000, shadow: false }], boundNanoUsd: 900, floorNanoUsd: 1 } as const;
    const admissions = Array.from({ length: 20 }, () => makeAdmission(wide, { tokens: 90, money: far }));
    for (const admission of admissions) expect(await counters.admit(admission)).toMatchObject({ outcome: 'admitted' });
    const before = await sent(metrics, 'settle');
    for (const admission of admissions) counters.settle(ending(admission, { tokens: 1, money: { budgets: far.budgets, costNanoUsd: 10 } }));
    await counters.flush();
    expect((await sent(metrics, 'settle')) - before).toBe(1);
  });

  it('costs nothing more where only requests are short, of which none comes back', async () => {
    const { counters, metrics } = await start();
    const short = { ...rpm, limit: 20 };
    const admissions = Array.from({ length: 20 }, () => makeAdmission([short]));
    for (const admission of admissions) expect(await counters.admit(admission)).toMatchObject({ outcome: 'admitted' });
    for (const admission of admissions) counters.settle(ending(admission, {}));
    await counters.flush();
    expect(await sent(metrics, 'settle')).toBe(1);
  });
});
