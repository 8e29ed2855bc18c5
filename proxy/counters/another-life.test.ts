import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import type { RedisScriptCall } from '../../runtime/redis-script.ts';
import type { Admission } from './counters.ts';
import type { ScriptStore } from './scripts/script-store.ts';
import { makeSharedCounters, type SharedCounters } from './shared-counters.ts';

/** The order in which the replies of a store arrive that somebody has emptied, down to the turn of the event loop: no real one can be made to keep it. */
const nowMs = 1_000_000_000;
const admitted = [[1, nowMs, '', 1]];
const window = { name: 'rpm', unit: 'requests', span: 'minute', limit: 60, shadow: false } as const;
const makeRequest = (requestId: string): Admission => ({ requestId, keyId: 'team-a/app', windows: [window], tokens: 0, holdMs: 30_000 });

/** what was sent, in order: `admit <life that it names>` or `push` */
let sent: string[];
let life: string;
let metrics: ReturnType<typeof makeMetrics>;
let counters: SharedCounters;
/** set: replies wait for it */
let admissionReply: PromiseWithResolvers<unknown> | undefined;
let lifeReply: PromiseWithResolvers<void> | undefined;

const isLook = ({ keyCount }: RedisScriptCall): boolean => keyCount === 1;
const admissions: ScriptStore = {
  ready: true,
  readyFor: () => true,
  placeOf: () => 'all',
  epochOf: () => 'replication',
  async run({ parameters }) {
    sent.push(`admit ${parameters.at(-1) ?? ''}`);
    return admissionReply === undefined ? admitted : admissionReply.promise;
  },
  async runAll(calls) {
    await lifeReply?.promise;
    return calls.map((call) => ({ status: 'fulfilled', value: isLook(call) ? life : 1 }));
  },
  probe: async () => {},
  watch: ({ onReady }) => onReady(),
  close: async () => {},
};
const settlements: ScriptStore = {
  ...admissions,
  async runAll(calls) {
    for (const _ of calls) sent.push('push');
    return calls.map(() => ({ status: 'fulfilled', value: 1 }));
  },
};

beforeEach(async () => {
  vi.useFakeTimers({ now: nowMs });
  sent = [];
  life = 'first';
  admissionReply = undefined;
  lifeReply = undefined;
  metrics = makeMetrics();
  counters = makeSharedCounters({
    admissions,
    settlements,
    failurePolicy: 'LocalShare',
    limitMode: 'strict',
    replicas: () => 1,
    now: Date.now,
    random: () => 0,
    log: makeLog({ level: 'silent', name: 'test' }),
    metrics,
    where: 'nowhere:6379',
  });
  await vi.advanceTimersByTimeAsync(1);
  // from now on the proxy knows the life of the store
  void counters.admit(makeRequest('first'));
  await vi.advanceTimersByTimeAsync(1);
});
afterEach(async () => {
  vi.useRealTimers();
  await counters.close();
  metrics.close();
});

/** What is due before the next turn of the event loop. */
async function endOfTurn(): Promise<void> {
  for (let hop = 0; hop < 50; hop += 1) await Promise.resolve();
}

it('asks nothing in a new life before that was told of the old one, also for a request that came in the turn in which it is heard of', async () => {
  lifeReply = Promise.withResolvers();
  await vi.advanceTimersByTimeAsync(250);
  const answer = counters.admit(makeRequest('second'));
  await endOfTurn();
  life = 'second';
  lifeReply.resolve();
  await endOfTurn();
  await vi.advanceTimersByTimeAsync(390);
  expect(sent).toEqual(['admit ', 'push']);
  await vi.advanceTimersByTimeAsync(20);
  expect(sent).toEqual(['admit ', 'push', 'admit second']);
  expect(await answer).toMatchObject({ outcome: 'admitted', degraded: false });
});

it('tells also of the request whose answer arrived together with the name of the new life', async () => {
  await counters.flush();
  // the first has been forgotten after so long: only the second is there to be told of
  await vi.advanceTimersByTimeAsync(70_000);
  sent = [];
  admissionReply = Promise.withResolvers();
  const answer = counters.admit(makeRequest('second'));
  await vi.advanceTimersByTimeAsync(1);
  lifeReply = Promise.withResolvers();
  await vi.advanceTimersByTimeAsync(249);
  life = 'second';
  admissionReply.resolve(admitted.map(([what, , ...rest]) => [what, Date.now(), ...rest]));
  lifeReply.resolve();
  await vi.advanceTimersByTimeAsync(10);
  expect(await answer).toMatchObject({ outcome: 'admitted', degraded: false });
  expect(sent).toEqual(['admit first', 'push']);
});
