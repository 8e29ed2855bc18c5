import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { forgetCounts } from '../../test/support/forget-counts.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import type { Admission, LimitWindow } from './counters.ts';
import { makeMemoryCounters } from './memory.ts';
import { makeRedisCounters } from './redis.ts';
import type { SharedCounters } from './shared-counters.ts';

let server: TestRedis;
let counters: SharedCounters;
let nowMs = 0;
let nextRequest = 0;
const metrics = makeMetrics();
const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };

beforeAll(async () => {
  server = await startRedis();
  nowMs = Date.now() + 3_600_000;
  const log = makeLog({ level: 'silent', name: 'test' });
  const now = (): number => nowMs;
  counters = makeRedisCounters({
    url: server.url,
    log,
    metrics,
    replicas: 1,
    remembers: false,
    now,
    random: () => 0,
    redisClock: now,
    deadlineMs: 5_000,
  });
  await counters.ready(5_000);
});
afterAll(async () => {
  await counters.close();
  metrics.close();
  await server.stop();
});

const window = (name: string, limit: number, rest: Partial<LimitWindow> = {}): LimitWindow => ({
  name,
  unit: name.startsWith('r') ? 'requests' : 'tokens',
  span: name.includes('pd') ? 'day' : 'minute',
  limit,
  shadow: false,
  ...rest,
});
const someWindows = fc.subarray(
  [
    window('rpm', 6),
    window('tpm', 120),
    window('rpd', 14),
    window('tpd', 300),
    window('rpm:o*', 2),
    window('tpm:o*', 40, { shadow: true }),
  ],
  { minLength: 1 },
);
const asked = fc.record({
  which: fc.nat({ max: 12 }),
  key: fc.constantFrom('team/app', 'team/batch', 'other/app'),
  windows: someWindows,
  tokens: fc.integer({ min: 0, max: 50 }),
  slots: fc.constantFrom({}, { concurrency: { limit: 3, shadow: false } }, { concurrency: { limit: 1, shadow: true } }),
});
const step = fc.record({
  gap: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.constantFrom(59_999, 60_001, 4_000_000)),
  burst: fc.array(asked, { maxLength: 12 }),
  settled: fc.array(fc.record({ which: fc.nat({ max: 30 }), tokens: fc.nat({ max: 90 }), refundRequest: fc.boolean() }), { maxLength: 3 }),
});

it('what goes in one call is decided as one after the other: limits, waits, what remains, repeated requests', async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      await forgetCounts({ keys: async () => (await server.cli('KEYS', '*')) as string[], cli: server.cli });
      run += 1;
      nowMs += 100_000_000;
      const reference = makeMemoryCounters({ now: () => nowMs, random: () => 0 });
      const admitted: Admission[] = [];
      for (const { gap, burst, settled } of steps) {
        nowMs += gap;
        const admissions = burst.map(({ which, key, windows, tokens, slots }): Admission => {
          return { requestId: `${run}-${which}`, keyId: key, bearer, windows, tokens, holdMs: 30_000, ...slots };
        });
        const expected = await Promise.all(admissions.map((admission) => reference.admit(admission)));
        const answers = await Promise.all(admissions.map((admission) => counters.admit(admission)));
        expect(answers).toEqual(expected);
        admitted.push(...admissions.filter((_, position) => answers[position]?.outcome === 'admitted'));
        for (const { which, tokens, refundRequest } of settled) {
          const found = admitted[which % Math.max(1, admitted.length)];
          if (found === undefined) continue;
          const { requestId, keyId, windows, concurrency } = found;
          const settlement = { requestId, keyId, windows, tokens, concurrency: concurrency !== undefined, refundRequest };
          // in their order: one that frees a slot would overtake
          if (concurrency !== undefined) await counters.flush();
          reference.settle(settlement);
          counters.settle(settlement);
          if (concurrency !== undefined) await counters.flush();
        }
        await counters.flush();
      }
    }),
    { numRuns: 60 },
  );
});

it('a clock that has gone back moves the counts once for all that go in one call', async () => {
  await forgetCounts({ keys: async () => (await server.cli('KEYS', '*')) as string[], cli: server.cli });
  const ask = (count: number, windows: LimitWindow[]) => Promise.all(Array.from({ length: count }, () => counters.admit(request(windows))));
  const windows = [window('rpm', 6), window('tpm', 100)];
  await ask(2, windows);
  nowMs -= 45_000;
  const answers = await ask(6, windows);
  expect(answers.map(({ outcome }) => outcome)).toEqual(['admitted', 'admitted', 'admitted', 'admitted', 'refused', 'refused']);
  expect(answers.at(-1)).toMatchObject({ limitName: 'rpm', retryAfterMs: 60_000, windows: [{ remaining: 0 }, { remaining: 40 }] });
  nowMs += 60_000;
  expect((await ask(1, windows))[0]).toMatchObject({ outcome: 'refused' });
  nowMs += 1;
  expect((await ask(1, windows))[0]).toMatchObject({ outcome: 'admitted', windows: [{ remaining: 5 }, { remaining: 50 }] });
});

it('a call holds what one turn of the event loop asked for, at most 64, and one tag', async () => {
  await counters.admit(request([window('rpm', 1_000)]));
  const before = await scripts();
  const keyIds = [...Array.from({ length: 65 }, () => 'team/app'), ...Array.from({ length: 3 }, () => 'other/app')];
  const answers = await Promise.all(keyIds.map((keyId) => counters.admit({ ...request([window('rpm', 1_000)]), keyId })));
  expect(answers.map(({ outcome }) => outcome)).toEqual(answers.map(() => 'admitted'));
  expect((await scripts()) - before).toBe(3);
});

function request(windows: readonly LimitWindow[]): Admission {
  nextRequest += 1;
  return { requestId: `single-${nextRequest}`, keyId: 'team/app', bearer, windows, tokens: 10, holdMs: 30_000 };
}

/** Scripts that Redis ran, as it counts them itself. */
async function scripts(): Promise<number> {
  const text = String(await server.cli('INFO', 'commandstats'));
  return [...text.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+),.*?failed_calls=(\d+)/g)].reduce(
    (sum, [, calls, failed]) => sum + Number(calls) - Number(failed),
    0,
  );
}
