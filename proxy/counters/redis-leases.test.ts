import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics, type Metrics } from '../../runtime/metrics.ts';
import { mostInAnySpan } from '../../test/support/spans.ts';
import { useRedis } from '../../test/support/use-redis.ts';
import type { Admission, AdmitAnswer, LimitWindow, PeekAnswer } from './counters.ts';
import { makeRedisCounters } from './redis.ts';
import type { SharedCounters } from './shared-counters.ts';

interface Proxy {
  readonly counters: SharedCounters;
  readonly metrics: Metrics;
}

const server = useRedis();
let proxies: Proxy[];
let number = 0;

beforeEach(async () => {
  proxies = await Promise.all([startProxy(3), startProxy(3), startProxy(3)]);
});
afterEach(async () => {
  await Promise.all(proxies.map(stop));
});

async function startProxy(replicas: number): Promise<Proxy> {
  const metrics = makeMetrics();
  const log = makeLog({ level: 'silent', name: 'test' });
  const counters = makeRedisCounters({
    url: server.url,
    log,
    metrics,
    limitMode: 'leased',
    replicas,
    now: Date.now,
    deadlineMs: 5_000,
    restoreTimes,
  });
  await counters.ready(5_000);
  return { counters, metrics };
}
/** No operator will answer. */
const restoreTimes = { giveUpMs: 50, listenMs: 10, askEveryMs: 20, pollMs: 5 };

async function stop({ counters, metrics }: Proxy): Promise<void> {
  await counters.close();
  metrics.close();
}

const window = (name: string, limit: number): LimitWindow => ({
  name,
  unit: name.startsWith('r') ? 'requests' : 'tokens',
  span: name.endsWith('d') ? 'day' : 'minute',
  limit,
  shadow: false,
});
const bearer = { uid: 'one', gen: 0, credentialId: 'aaaaaaaaaaaa' };

function request(windows: readonly LimitWindow[], rest: Partial<Admission> = {}): Admission {
  number += 1;
  return { requestId: `r${number}`, keyId: 'team/app', bearer, windows, tokens: 0, holdMs: 30_000, ...rest };
}

function settle(
  { counters }: Proxy,
  { requestId, keyId, windows, money }: Admission,
  { tokens = 0, costNanoUsd = 0, refundRequest = false }: { tokens?: number; costNanoUsd?: number; refundRequest?: boolean } = {},
): void {
  const spent = money && { budgets: money.budgets, costNanoUsd };
  counters.settle({ requestId, keyId, windows, tokens, concurrency: false, refundRequest, ...(spent && { money: spent }) });
}

interface Answered {
  readonly proxy: Proxy;
  readonly admission: Admission;
  readonly answer: AdmitAnswer;
}

/** Every proxy is asked for so many, turn after turn. */
async function hammer(make: () => Admission, { turns, perTurn }: { turns: number; perTurn: number }): Promise<Answered[]> {
  const ofProxy = async (proxy: Proxy): Promise<Answered[]> => {
    const answered: Answered[] = [];
    for (let turn = 0; turn < turns; turn += 1) {
      const some = Array.from({ length: perTurn }, make);
      answered.push(
        ...(await Promise.all(some.map(async (admission) => ({ proxy, admission, answer: await proxy.counters.admit(admission) })))),
      );
      await sleep(1);
    }
    return answered;
  };
  return (await Promise.all(proxies.map(ofProxy))).flat();
}

const admittedOf = (answered: readonly Answered[]): Answered[] => answered.filter(({ answer }) => answer.outcome === 'admitted');

/** What Redis counts when everything has been told, leases included. */
async function used(windows: readonly LimitWindow[], budgets: NonNullable<Admission['money']>['budgets'] = []): Promise<PeekAnswer> {
  await sleep(300);
  for (const { counters } of proxies) await counters.flush();
  const [proxy] = proxies;
  if (proxy === undefined) throw new Error('there is no proxy');
  return proxy.counters.peek({ keyId: 'team/app', windows, budgets });
}

async function decidedBy(what: string): Promise<number> {
  const texts = await Promise.all(proxies.map(({ metrics }) => metrics.registry.metrics()));
  return texts.reduce((sum, text) => sum + Number(new RegExp(`limiter_admissions_total\\{by="${what}"\\} (\\d+)`).exec(text)?.[1] ?? 0), 0);
}

describe('three proxies that lease', () => {
  it('let in exactly the limit together, most of it without asking Redis, and leave nothing booked', async () => {
    const windows = [window('rpm', 9_000), window('rpd', 90_000)];
    const answered = await hammer(() => request(windows), { turns: 400, perTurn: 10 });
    const admitted = admittedOf(answered);
    expect(admitted.length).toBe(9_000);
    const charges = admitted.map(({ answer }) => ({ atMs: answer.outcome === 'admitted' ? answer.timeMs : 0, amount: 1 }));
    expect(mostInAnySpan(charges, 60_000)).toBe(9_000);
    expect(await decidedBy('lease')).toBeGreaterThan(4_500);
    expect(await used(windows)).toMatchObject({ outcome: 'known', windows: [{ used: 9_000 }, { used: 9_000 }] });
  });

  it('stay within a limit of tokens', async () => {
    const windows = [window('tpm', 1_500_000)];
    const answered = await hammer(() => request(windows, { tokens: 500 }), { turns: 200, perTurn: 8 });
    expect(admittedOf(answered)).toHaveLength(3_000);
    expect(await decidedBy('lease')).toBeGreaterThan(500);
    for (const { proxy, admission } of admittedOf(answered)) settle(proxy, admission, { tokens: 500 });
    expect(await used(windows)).toMatchObject({ windows: [{ used: 1_500_000 }] });
  });

  it('count the tokens and the money of each request as those of one that Redis was asked for', async () => {
    const windows = [window('rpm', 60_000), window('tpm', 60_000_000)];
    const budgets = [{ period: 'Daily', limitNanoUsd: 1_000_000_000_000, shadow: false }] as const;
    const money = { budgets, boundNanoUsd: 20_000, floorNanoUsd: 5_000 };
    const admitted = admittedOf(await hammer(() => request(windows, { tokens: 700, money }), { turns: 60, perTurn: 5 }));
    expect(admitted).toHaveLength(900);
    expect(await decidedBy('lease')).toBeGreaterThan(450);
    const running = admitted.slice(0, 100);
    for (const { proxy, admission } of admitted.slice(100)) settle(proxy, admission, { tokens: 300, costNanoUsd: 7_000 });
    expect(await used(windows, budgets)).toMatchObject({
      windows: [{ used: 900 }, { used: 800 * 300 + 100 * 700 }],
      budgets: [{ spentNanoUsd: 800 * 7_000, reservedNanoUsd: 100 * 20_000 }],
    });
    for (const { proxy, admission } of running) settle(proxy, admission, { tokens: 1_000, costNanoUsd: 30_000 });
    expect(await used(windows, budgets)).toMatchObject({
      windows: [{ used: 900 }, { used: 800 * 300 + 100 * 1_000 }],
      budgets: [{ spentNanoUsd: 800 * 7_000 + 100 * 30_000, reservedNanoUsd: 0 }],
    });
  });

  it('get a request back that was sent to nobody', async () => {
    const windows = [window('rpm', 60_000)];
    const admitted = admittedOf(await hammer(() => request(windows), { turns: 40, perTurn: 5 }));
    expect(await decidedBy('lease')).toBeGreaterThan(0);
    for (const { proxy, admission } of admitted.slice(0, 400)) settle(proxy, admission, { refundRequest: true });
    for (const { proxy, admission } of admitted.slice(400)) settle(proxy, admission);
    expect(await used(windows)).toMatchObject({ windows: [{ used: 200 }] });
  });

  it('ask again for a key that was revoked', async () => {
    const windows = [window('rpm', 60_000)];
    await hammer(() => request(windows), { turns: 5, perTurn: 40 });
    for (const { counters } of proxies) counters.forget?.('team/app');
    const before = await decidedBy('lease');
    await Promise.all(proxies.map(({ counters }) => counters.admit(request(windows))));
    expect(await decidedBy('lease')).toBe(before);
  });

  it('ask Redis at most once for ten requests of a busy key, whatever they tell it afterwards', async () => {
    const windows = [window('rpm', 60_000), window('tpm', 60_000_000), window('rpd', 1_000_000), window('tpd', 1_000_000_000)];
    const budgets = [{ period: 'Daily', limitNanoUsd: 1_000_000_000_000, shadow: false }] as const;
    const money = { budgets, boundNanoUsd: 20_000, floorNanoUsd: 5_000 };
    const answered: Answered[] = [];
    // a thousand a second for a second and a half, evenly
    const [proxy] = proxies;
    if (proxy === undefined) throw new Error('there is no proxy');
    const startedMs = performance.now();
    for (let count = 0; count < 1_500; count += 1) {
      const waitMs = startedMs + count - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      const admission = request(windows, { tokens: 700, money });
      void proxy.counters.admit(admission).then((answer) => {
        answered.push({ proxy, admission, answer });
        settle(proxy, admission, { tokens: 300, costNanoUsd: 7_000 });
      });
    }
    await used(windows, budgets);
    expect(admittedOf(answered)).toHaveLength(1_500);
    const text = await proxy.metrics.registry.metrics();
    const commands = [...text.matchAll(/limiter_commands_total\{command="(?!probe|peek)\w+"\} (\d+)/g)].reduce(
      (sum, [, count]) => sum + Number(count),
      0,
    );
    expect(commands / 1_500).toBeLessThan(0.1);
  });
});
