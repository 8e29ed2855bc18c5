import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Metrics } from '../../runtime/metrics.ts';
import { makeAdmission, settleAdmission, useCountersProxies } from '../../test/support/counters-proxies.ts';
import { eventually } from '../../test/support/eventually.ts';
import { forgetCounts, toCounts } from '../../test/support/forget-counts.ts';
import { freePort } from '../../test/support/free-port.ts';
import { useRedis } from '../../test/support/use-redis.ts';
import type { AdmitAnswer, LimitWindow } from './counters.ts';
import { EventLog } from './event-log.ts';
import type { SharedCounters } from './shared-counters.ts';

const rpm = (limit: number): LimitWindow => ({ name: 'rpm', unit: 'requests', span: 'minute', limit, shadow: false });
const tpm = (limit: number): LimitWindow => ({ name: 'tpm', unit: 'tokens', span: 'minute', limit, shadow: false });

const server = useRedis();
const proxyPool = useCountersProxies(() => ({ url: server.url, replicas: 2 }));

async function metric(metrics: Metrics, name: string): Promise<number> {
  const found = (await metrics.registry.getMetricsAsJSON()).find((item) => item.name === name);
  return found?.values.reduce((sum, { value }) => sum + value, 0) ?? Number.NaN;
}

async function remaining(counters: SharedCounters, windows: readonly LimitWindow[]): Promise<number[]> {
  const answer = await counters.admit(makeAdmission([...windows, { ...rpm(0), name: 'none' }]));
  return 'windows' in answer ? answer.windows.slice(0, -1).map((window) => window.remaining) : [];
}

/** Keeps the event loop busy, as a large JSON document does. */
function stall(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

describe('Redis counters on a sound Redis', () => {
  it('decide by the clock of Redis', async () => {
    const { counters } = await proxyPool.start({ now: () => 1 });
    const before = Number(((await server.cli('TIME')) as string[])[0]);
    const answer = await counters.admit(makeAdmission([rpm(1)]));
    expect(answer).toMatchObject({ outcome: 'admitted', degraded: false });
    expect(Math.floor((answer as { timeMs: number }).timeMs / 1_000)).toBeGreaterThanOrEqual(before);
    expect((answer as { timeMs: number }).timeMs / 1_000).toBeLessThan(before + 5);
  });

  it('give every key a lifetime and one hash tag', async () => {
    const { counters } = await proxyPool.start();
    const admission = makeAdmission([rpm(5), tpm(100), { ...rpm(5), name: 'rpd', span: 'day' }], {
      tokens: 5,
      concurrency: { limit: 5, shadow: false },
    });
    await counters.admit(admission);
    counters.renew(admission, 3);
    await counters.flush();
    const keys = (await server.cli('KEYS', '*')) as string[];
    expect(toCounts(keys).length).toBe(5);
    for (const key of keys) {
      expect(key).toMatch(/^kw:\{[0-3][0-9a-f]\}:/);
      expect(Number(await server.cli('PTTL', key)), key).toBeGreaterThan(0);
    }
    expect(new Set(keys.map((key) => key.slice(0, 7))).size).toBe(1);
  });

  it('never admit beyond a limit together, however the arrivals at two proxies interleave', async () => {
    let nowMs = Date.now() + 3_600_000;
    const redisClock = (): number => nowMs;
    const [first, second] = await Promise.all([
      proxyPool.start({ redisClock, deadlineMs: 5_000 }),
      proxyPool.start({ redisClock, deadlineMs: 5_000 }),
    ]);
    const bursts = fc.array(
      fc.record({ gap: fc.integer({ min: 0, max: 20_000 }), atFirst: fc.nat({ max: 6 }), atSecond: fc.nat({ max: 6 }) }),
      { minLength: 5, maxLength: 25 },
    );
    await fc.assert(
      fc.asyncProperty(bursts, async (steps) => {
        await forgetCounts({ keys: async () => (await server.cli('KEYS', '*')) as string[], cli: server.cli });
        const log = new EventLog();
        const windows = [rpm(7), tpm(60)];
        for (const { gap, atFirst, atSecond } of steps) {
          nowMs += gap;
          const room = Math.min(7 - log.used(rpm(7), nowMs), Math.floor((60 - log.used(tpm(60), nowMs)) / 5));
          const calls = [...Array.from({ length: atFirst }, () => first), ...Array.from({ length: atSecond }, () => second)].map(
            async ({ counters }) => {
              const admission = makeAdmission(windows, { tokens: 5, holdMs: 1_000 });
              return { admission, answer: await counters.admit(admission) };
            },
          );
          const admitted = (await Promise.all(calls)).filter(({ answer }) => answer.outcome === 'admitted');
          for (const { admission, answer } of admitted) {
            expect(answer).toMatchObject({ degraded: false });
            log.admit(admission, nowMs);
          }
          // neither more nor less than fits
          expect(admitted.length).toBe(Math.min(room, calls.length));
        }
        expect(log.mostInAnySpan(rpm(7))).toBeLessThanOrEqual(7);
      }),
      { numRuns: 20 },
    );
  });

  it('ask Redis nothing for a client that hammers, and tell it the same time as Redis would', async () => {
    const { counters, metrics } = await proxyPool.start({ remembers: true });
    await counters.admit(makeAdmission([rpm(1)]));
    const first = await counters.admit(makeAdmission([rpm(1)]));
    const asked = await metric(metrics, 'keywright_limiter_commands_total');
    for (let count = 0; count < 1_000; count += 1) {
      expect(await counters.admit(makeAdmission([rpm(1)]))).toMatchObject({ outcome: 'refused', limitName: 'rpm' });
    }
    expect(await metric(metrics, 'keywright_limiter_commands_total')).toBe(asked);
    const last = await counters.admit(makeAdmission([rpm(1)]));
    if (first.outcome !== 'refused' || last.outcome !== 'refused') throw new Error('not refused');
    // the jitter of the first answer is part of the moment
    expect(Math.abs(last.timeMs + last.retryAfterMs - (first.timeMs + first.retryAfterMs))).toBeLessThanOrEqual(1);
    // a revocation, or any other change of the key
    counters.forget?.('team-a/app');
    await counters.admit(makeAdmission([rpm(1)]));
    expect(await metric(metrics, 'keywright_limiter_commands_total')).toBe(asked + 1);
  });

  it('ask Redis once for each admission and nothing for a key without limits', async () => {
    const { counters, metrics } = await proxyPool.start();
    for (let count = 0; count < 10; count += 1) await counters.admit(makeAdmission([rpm(100)]));
    await counters.admit(makeAdmission([]));
    expect(await metric(metrics, 'keywright_limiter_commands_total')).toBe(10);
  });
});

describe('Redis counters when Redis fails', () => {
  it('survive SCRIPT FLUSH, also in the middle of a batch of settlements', async () => {
    const { counters } = await proxyPool.start();
    const admission = makeAdmission([tpm(100)], { tokens: 50 });
    await counters.admit(admission);
    await server.cli('SCRIPT', 'FLUSH');
    settleAdmission(counters, admission, 10);
    await counters.flush();
    await server.cli('SCRIPT', 'FLUSH');
    expect(await counters.admit(makeAdmission([tpm(100)], { tokens: 90 }))).toMatchObject({ outcome: 'admitted', degraded: false });
  });

  it('go on while it is killed and come back by themselves: no admission fails, degraded is told', async () => {
    const { counters, metrics, logged } = await proxyPool.start();
    expect(await counters.admit(makeAdmission([rpm(1_000)]))).toMatchObject({ outcome: 'admitted', degraded: false });
    expect(await metric(metrics, 'keywright_limiter_degraded')).toBe(0);
    const pending = Array.from({ length: 20 }, () => counters.admit(makeAdmission([rpm(1_000)])));
    await server.kill();
    for (const answer of await Promise.all(pending)) expect(answer.outcome).toBe('admitted');
    await eventually(() => counters.degraded);
    expect(await counters.admit(makeAdmission([rpm(1_000)]))).toMatchObject({ outcome: 'admitted', degraded: true });
    expect(await metric(metrics, 'keywright_limiter_degraded')).toBe(1);
    await server.start();
    await eventually(() => !counters.degraded);
    expect(await counters.admit(makeAdmission([rpm(1_000)]))).toMatchObject({ outcome: 'admitted', degraded: false });
    expect(await metric(metrics, 'keywright_limiter_degraded')).toBe(0);
    expect(logged().match(/"event":"limiter_[a-z]+"/g)).toEqual([
      '"event":"limiter_shared"',
      '"event":"limiter_degraded"',
      '"event":"limiter_shared"',
    ]);
  });

  it('answer in time while it hangs, release what nobody heard of, and book what was settled meanwhile', async () => {
    const deadlineMs = 1_000;
    const { counters, metrics } = await proxyPool.start({ deadlineMs });
    const admission = makeAdmission([rpm(10), tpm(1_000)], { tokens: 100 });
    await counters.admit(admission);
    await server.pause();
    try {
      // of three turns of the event loop, since those of one go together and fail as one
      const pending: Promise<AdmitAnswer>[] = [];
      for (let count = 0; count < 3; count += 1) {
        pending.push(counters.admit(makeAdmission([rpm(10), tpm(1_000)], { tokens: 10 })));
        await turn();
      }
      for (const answer of await Promise.all(pending)) expect(answer).toMatchObject({ outcome: 'admitted', degraded: true });
      expect(counters.degraded).toBe(true);
      const askedMs = performance.now();
      expect(await counters.admit(makeAdmission([rpm(0)]))).toMatchObject({ outcome: 'refused', degraded: true });
      // whoever waited would have waited this long at least
      expect(performance.now() - askedMs).toBeLessThan(deadlineMs);
      expect(await metric(metrics, 'keywright_limiter_timeouts_total')).toBe(3);
      settleAdmission(counters, admission, 20);
      await sleep(200);
    } finally {
      await server.resume();
    }
    await eventually(() => !counters.degraded);
    await counters.flush();
    // One request and its 20 tokens, and the three that were let in here, once: what Redis decided of them was released again. They still run, with what they were estimated at.
    await eventually(async () => {
      const left = await remaining(counters, [rpm(10), tpm(1_000)]);
      return left[0] === 6 && left[1] === 950;
    });
  });

  it('let a Redis that was silent for a moment decide, so that several proxies hold the limit together', async () => {
    const deadlineMs = 1_300;
    const proxies = await Promise.all([proxyPool.start({ deadlineMs }), proxyPool.start({ deadlineMs })]);
    for (const { counters } of proxies) expect(await counters.admit(makeAdmission([rpm(8)]))).toMatchObject({ outcome: 'admitted' });
    await server.pause();
    const pending: Promise<AdmitAnswer>[] = [];
    try {
      for (let count = 0; count < 6; count += 1) {
        pending.push(...proxies.map(({ counters }) => counters.admit(makeAdmission([rpm(8)]))));
        await turn();
      }
      // into the second period, far from its end
      await sleep(deadlineMs + 100);
    } finally {
      await server.resume();
    }
    const answers = await Promise.all(pending);
    for (const answer of answers) expect(answer).toMatchObject({ degraded: false });
    expect(answers.filter(({ outcome }) => outcome === 'admitted').length).toBe(6);
    for (const { counters, metrics, logged } of proxies) {
      expect(counters.degraded).toBe(false);
      expect(logged()).not.toContain('limiter_degraded');
      expect(await metric(metrics, 'keywright_limiter_late_total')).toBe(6);
      expect(await metric(metrics, 'keywright_limiter_timeouts_total')).toBe(0);
    }
  });

  it('stalls of our own neither fail an admission nor open the breaker', async () => {
    const { counters, metrics, logged } = await proxyPool.start({ deadlineMs: 250 });
    for (const ms of [40, 70, 120, 300, 600]) {
      const answers = Array.from({ length: 10 }, () => counters.admit(makeAdmission([rpm(1_000)])));
      stall(ms);
      for (const answer of await Promise.all(answers)) expect(answer).toMatchObject({ outcome: 'admitted', degraded: false });
    }
    expect(await metric(metrics, 'keywright_limiter_timeouts_total')).toBe(0);
    expect(logged()).not.toContain('limiter_degraded');
  });

  it('start without it', async () => {
    const port = await freePort();
    const { counters, logged } = await proxyPool.start({ url: `redis://127.0.0.1:${port}` });
    expect(counters.degraded).toBe(true);
    expect(await counters.admit(makeAdmission([rpm(2)]))).toMatchObject({ outcome: 'admitted', degraded: true });
    expect(await counters.admit(makeAdmission([rpm(2)]))).toMatchObject({ outcome: 'refused', degraded: true, limitName: 'rpm', limit: 2 });
    expect(logged()).toContain('ECONNREFUSED');
  });

  it('LocalShare: ⌈limit / replicas⌉ less what this proxy has admitted in the last window, through Redis too', async () => {
    const { counters } = await proxyPool.start({ replicas: 2 });
    for (let count = 0; count < 3; count += 1) await counters.admit(makeAdmission([rpm(9)]));
    await server.kill();
    await eventually(() => counters.degraded);
    const answers: AdmitAnswer[] = [];
    for (let count = 0; count < 4; count += 1) answers.push(await counters.admit(makeAdmission([rpm(9)])));
    await server.start();
    expect(answers.map(({ outcome }) => outcome)).toEqual(['admitted', 'admitted', 'refused', 'refused']);
    expect(answers[0]).toMatchObject({ windows: [{ limit: 9, remaining: 1 }] });
    await eventually(() => !counters.degraded);
  });

  it('Closed: unavailable, never refused; Open: admitted', async () => {
    const url = `redis://127.0.0.1:${await freePort()}`;
    const closed = await proxyPool.start({ url, failurePolicy: 'Closed' });
    const open = await proxyPool.start({ url, failurePolicy: 'Open' });
    expect(await closed.counters.admit(makeAdmission([rpm(0)]))).toEqual({ outcome: 'unavailable' });
    expect(await open.counters.admit(makeAdmission([rpm(1)]))).toMatchObject({ outcome: 'admitted', degraded: true });
    expect(await open.counters.admit(makeAdmission([rpm(1)]))).toMatchObject({ outcome: 'admitted', degraded: true });
  });

  it('a Redis that takes no writes is as good as none, and the breaker stays open until it does', async () => {
    const { counters } = await proxyPool.start();
    await server.cli('CONFIG', 'SET', 'min-replicas-to-write', '1');
    expect(await counters.admit(makeAdmission([rpm(5)]))).toMatchObject({ outcome: 'admitted', degraded: true });
    await sleep(600);
    expect(counters.degraded).toBe(true);
    await server.cli('CONFIG', 'SET', 'min-replicas-to-write', '0');
    await eventually(() => !counters.degraded);
  });

  it('the password is in no log line', async () => {
    await server.cli('ACL', 'SETUSER', 'tester', 'on', '>right-pass', '~*', '+@all');
    const url = new URL(server.url);
    url.username = 'tester';
    url.password = 'right-pass';
    const right = await proxyPool.start({ url: url.href });
    expect(await right.counters.admit(makeAdmission([rpm(5)]))).toMatchObject({ outcome: 'admitted', degraded: false });
    url.password = 'wrong-pass';
    const wrong = await proxyPool.start({ url: url.href });
    expect(await wrong.counters.admit(makeAdmission([rpm(5)]))).toMatchObject({ degraded: true });
    expect(wrong.logged()).toContain('WRONGPASS');
    expect(right.logged() + wrong.logged()).not.toMatch(/right-pass|wrong-pass/);
  });

  it('two connections of one test do not hide each other: what one proxy admits the other counts', async () => {
    const first = await proxyPool.start();
    const second = await proxyPool.start();
    const inspector = new Redis(server.url);
    onTestFinished(() => inspector.disconnect());
    expect(await first.counters.admit(makeAdmission([rpm(2)]))).toMatchObject({ outcome: 'admitted' });
    expect(await second.counters.admit(makeAdmission([rpm(2)]))).toMatchObject({ outcome: 'admitted', windows: [{ remaining: 0 }] });
    const before = await Promise.all((await inspector.keys('*')).toSorted().map((key) => inspector.dump(key)));
    expect(await first.counters.admit(makeAdmission([rpm(2)]))).toMatchObject({ outcome: 'refused' });
    expect(await Promise.all((await inspector.keys('*')).toSorted().map((key) => inspector.dump(key)))).toEqual(before);
  });
});
