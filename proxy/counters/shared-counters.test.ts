import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import type { RedisScriptCall } from '../../runtime/redis-script.ts';
import type { Admission } from './counters.ts';
import type { FailurePolicy } from './outage/fallback.ts';
import type { ScriptStore } from './scripts/script-store.ts';
import { makeSharedCounters, type SharedCounters } from './shared-counters.ts';

let metrics: ReturnType<typeof makeMetrics>;
let counters: SharedCounters;

beforeEach(() => {
  vi.useFakeTimers();
  metrics = makeMetrics();
});
afterEach(async () => {
  vi.useRealTimers();
  await counters.close();
  metrics.close();
});

/** Answers so late that the limit is reached; a settlement is taken at once. */
function makeSlowStore(admitMs: number): ScriptStore {
  const refused = [[0, 1_000, 1, 500, 1]];
  return {
    ready: true,
    readyFor: () => true,
    placeOf: () => 'all',
    epochOf: () => '',
    run: (call: RedisScriptCall) =>
      call.parameters.includes('settle') ? Promise.resolve(1) : new Promise((resolve) => void setTimeout(() => resolve(refused), admitMs)),
    runAll: async (calls) => calls.map(() => ({ status: 'fulfilled', value: 1 })),
    probe: async () => {},
    watch: ({ onReady }) => onReady(),
    close: async () => {},
  };
}

async function start(admitMs: number, failurePolicy: FailurePolicy = 'LocalShare', settlements = makeSlowStore(0)): Promise<void> {
  counters = makeSharedCounters({
    admissions: makeSlowStore(admitMs),
    settlements,
    failurePolicy,
    limitMode: 'strict',
    replicas: () => 2,
    now: Date.now,
    random: () => 0,
    log: makeLog({ level: 'silent', name: 'test' }),
    metrics,
    where: 'nowhere:6379',
  });
  const ready = counters.ready(1_000);
  await vi.advanceTimersByTimeAsync(1);
  await ready;
}

const window = { name: 'rpm', unit: 'requests', span: 'minute', limit: 1, shadow: false } as const;
const admission: Admission = {
  requestId: 'request-1',
  keyId: 'team-a/app',
  bearer: { uid: 'one', gen: 0, credentialId: 'aaaaaaaaaaaa' },
  windows: [window],
  tokens: 0,
  holdMs: 30_000,
};

it.each([220, 480])(
  'goes by what a Redis says that is slower than usual: a lost packet, a fork, a processor that others have (%i ms)',
  async (ms) => {
    await start(ms);
    for (let count = 0; count < 8; count += 1) {
      const answer = counters.admit({ ...admission, requestId: `request-${count}` });
      await vi.advanceTimersByTimeAsync(ms);
      expect(await answer).toMatchObject({ outcome: 'refused', degraded: false });
    }
  },
);

it('lets its own share decide when Redis says nothing for half a second, and at once from then on', async () => {
  await start(60_000);
  let isDecided = false;
  const answer = counters.admit(admission).finally(() => (isDecided = true));
  await vi.advanceTimersByTimeAsync(490);
  expect(isDecided).toBe(false);
  await vi.advanceTimersByTimeAsync(20);
  expect(await answer).toMatchObject({ outcome: 'admitted', degraded: true });
  expect(await counters.admit({ ...admission, requestId: 'request-2' })).toMatchObject({ degraded: true });
});

it('keeps nobody waiting for a second time once it is clear that Redis says nothing', async () => {
  await start(60_000);
  const first = counters.admit(admission);
  await vi.advanceTimersByTimeAsync(240);
  const second = counters.admit({ ...admission, requestId: 'request-2' });
  await vi.advanceTimersByTimeAsync(270);
  expect(await first).toMatchObject({ degraded: true });
  expect(await second).toMatchObject({ degraded: true });
});

it('tells of its own figures against its share, marked, when Redis says nothing to whoever asks', async () => {
  await start(60_000);
  const admitted = counters.admit({ ...admission, windows: [{ ...window, limit: 10 }] });
  await vi.advanceTimersByTimeAsync(510);
  expect(await admitted).toMatchObject({ outcome: 'admitted', degraded: true });
  const answer = counters.peek({ keyId: 'team-a/app', windows: [{ ...window, limit: 10 }] });
  await vi.advanceTimersByTimeAsync(260);
  // of two proxies
  expect(await answer).toMatchObject({ outcome: 'known', degraded: true, windows: [{ limit: 10, used: 1, remaining: 4 }] });
});

it.each(['Closed', 'Open'] as const)('tells nothing under the policy %s when Redis says nothing', async (policy) => {
  await start(60_000, policy);
  const answer = counters.peek({ keyId: 'team-a/app', windows: [window] });
  await vi.advanceTimersByTimeAsync(260);
  expect(await answer).toEqual({ outcome: 'unavailable' });
});

it('waits no longer for a Redis that takes no settlement than for one that answers no admission', async () => {
  await start(1, 'LocalShare', { ...makeSlowStore(0), runAll: () => new Promise(() => {}) });
  const { requestId, keyId, windows } = admission;
  counters.settle({ requestId, keyId, windows, tokens: 0, concurrency: false, refundRequest: false });
  expect(counters.hasten({ keyId, requests: true })).toBeUndefined();
  expect(counters.hasten({ keyId: 'team-a/other', requests: false })).toBeUndefined();
  const told = counters.hasten({ keyId, requests: false });
  await vi.advanceTimersByTimeAsync(260);
  expect(await told).toMatchObject({ outcome: 'late' });
});
