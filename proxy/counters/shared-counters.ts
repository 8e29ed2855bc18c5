import { randomUUID } from 'node:crypto';
import { tagOf } from '../../core/hash-tag.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import { toAnswer, toOverruledAnswer } from './answers.ts';
import { type Decided, makeAskStore } from './store/ask-store.ts';
import { awaitReply } from './store/await-reply.ts';
import type { BudgetRestore, RestoreTimes } from './outage/budget-restorer.ts';
import { toRelease, toSettled } from './to-afterwards.ts';
import type { Admission, AdmitAnswer, Counters } from './counters.ts';
import { type FailurePolicy, makeFallback } from './outage/fallback.ts';
import { withHolder } from './holder.ts';
import { type Leases, makeLeases } from './ahead/leases.ts';
import { makeNearLimits } from './ahead/near-limits.ts';
import { makeLimiterMetrics } from './limiter-metrics.ts';
import { makeLook } from './look.ts';
import type { Freed } from './store/pack-calls.ts';
import type { ScriptStore } from './scripts/script-store.ts';
import { makeSharedBudgets, type SharedBudgets } from './shared-budgets.ts';
import { makeStoreClock } from './store/store-clock.ts';
import { makeStoreLives } from './store/store-lives.ts';
import { makeStoreNodes } from './store/store-nodes.ts';
import { makeStoreSender } from './store/store-sender.ts';
import { makeTogether } from './store/together.ts';
import { makeUntilKnown } from './until-known.ts';

/** Does the store decide each request, or may a proxy book for many at once? */
export type LimitMode = 'strict' | 'leased';

export interface SharedCounters extends Counters {
  /** the answer where the store has booked enough in advance; undefined: it has to be asked */
  take(admission: Admission): AdmitAnswer | undefined;
  /** the store is told at once what of this was given back here; resolves when it knows, or has not answered in time. undefined: it knows already */
  hasten(wanted: Freed): Promise<unknown> | undefined;
  /** true while the failure policy decides for some keys, or all */
  readonly degraded: boolean;
  /** the store decides for this key; otherwise the failure policy does */
  decides(keyId: string): boolean;
  /** resolves when the store answers for the first time, or after `withinMs`, whichever is first */
  ready(withinMs: number): Promise<void>;
  /** a process brings back the spend of a key that the store has lost: it is told what this one knows */
  readonly budgets: Pick<SharedBudgets, 'asked' | 'reset'>;
}

interface Options {
  readonly admissions: ScriptStore;
  readonly settlements: ScriptStore;
  readonly failurePolicy: FailurePolicy;
  readonly limitMode: LimitMode;
  readonly replicas: () => number;
  readonly now: () => number;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
  /** host and port, for the log */
  readonly where: string;
  readonly deadlineMs?: number;
  readonly redisClock?: () => number;
  /** of a budget whose spend was lost and of which the operator says nothing; Open unless given */
  readonly budgetRestore?: BudgetRestore;
  readonly restoreTimes?: RestoreTimes;
  /** the store knows that this was given back here */
  readonly onFreed?: (freed: Freed) => void;
}

/**
 * More than the least time in which TCP sends a lost packet again (200 ms), and than a fork of a large Redis: an answer that comes is worth waiting for, since without it the
 * limit is not held for all proxies together. A connection that is lost is known at once (docs/decisions/0017-redis-deadline.md).
 */
const longestAnswerMs = 250;
/** One script holds up everybody else: so many admissions take well under a millisecond. */
const mostTogether = 64;

const monotonicNow = (): number => performance.now();

/**
 * Counters kept by a store that may be slow or away: an own deadline for each admission, a breaker, the failure policy, settlements in batches. No method throws or rejects
 * because of the store.
 */
export function makeSharedCounters({
  admissions,
  settlements,
  failurePolicy,
  limitMode,
  replicas,
  now,
  random,
  log,
  metrics,
  where,
  deadlineMs = longestAnswerMs,
  redisClock,
  budgetRestore = 'Open',
  restoreTimes,
  onFreed = () => {},
}: Options): SharedCounters {
  const measured = makeLimiterMetrics(metrics, {
    settleQueueDepth: () => sender.depth,
    nodes: () => nodes.states(),
    degraded: () => nodes.degraded,
  });
  const clock = (): string => (redisClock === undefined ? '' : String(redisClock()));
  const storeClock = redisClock === undefined ? makeStoreClock({ monotonicNow, wallNow: now }) : { now: redisClock, heard() {} };
  const fallback = makeFallback({
    policy: failurePolicy,
    replicas,
    random,
    storeClock,
    process: randomUUID(),
    readyFor: (tag) => nodes.answers(tag),
    // a promoted replica has the life of its master, an emptied master its own replication id
    epochOf: (tag) => (admissions.epochOf(tag) || lives.of(tag)) && `${admissions.epochOf(tag)}:${lives.of(tag)}`,
    clockText: clock,
  });
  const lives = makeStoreLives({
    runAll: (calls) => admissions.runAll(calls),
    readyFor: (tag) => nodes.answers(tag),
    masterOf: (tag) => admissions.epochOf(tag),
    onBegan: (tag) => fallback.began(tag),
    onAnother(tags) {
      leases?.forgetAll();
      return tellKnown((tag) => tags.includes(tag));
    },
  });
  const budgets = makeSharedBudgets({
    admissions,
    settlements,
    policy: budgetRestore,
    times: restoreTimes,
    clockText: clock,
    now: storeClock.now,
    monotonicNow,
    random,
    metrics,
  });
  const leases: Leases | undefined =
    limitMode === 'strict'
      ? undefined
      : makeLeases({
          monotonicNow,
          storeNow: storeClock.now,
          replicas,
          onEnded: (booking, { requests }) => sender.add({ what: 'end', admission: booking, unspentRequests: requests }),
        });
  const tellKnown = async (isMeant: (tag: string) => boolean): Promise<void> => {
    // what was admitted in the life before may be told of in the same turn as the end of that life
    await new Promise((resolve) => setImmediate(resolve));
    for (const call of [...fallback.take(), ...budgets.takeFormer()]) sender.add({ what: 'call', call: { ...call, command: 'push' } });
    return sender.tell(isMeant);
  };
  const tell = async (isMeant: (tag: string) => boolean): Promise<void> => {
    // first which life it is told to: all proxies must name the same
    await awaitReply(lives.look(), { deadlineMs, monotonicNow });
    return tellKnown(isMeant);
  };
  const nodes = makeStoreNodes({
    store: admissions,
    tell,
    waiting: () => fallback.waiting,
    onAway: () => leases?.forgetAll((keyId) => !nodes.decides(tagOf(keyId))),
    onProbe: () => measured.commands.inc({ command: 'probe' }),
    policy: failurePolicy,
    where,
    log,
    deadlineMs,
    monotonicNow,
  });
  const sender = makeStoreSender({
    admissions,
    settlements,
    monotonicNow,
    clockText: clock,
    onSent: (command) => measured.commands.inc({ command }),
    onSpend: (keyId, reply) => budgets.settled(keyId, reply),
    onFreed,
  });
  const near = makeNearLimits();
  const canAsk = (keyId: string): boolean => nodes.decides(tagOf(keyId));
  const decideWithout = (admission: Admission): AdmitAnswer => {
    const answer = fallback.decide(admission);
    nodes.tellSoon();
    return answer;
  };
  const toShared = (decision: Decided, admission: Admission): AdmitAnswer | 'lost' | 'moved' => {
    if ('lost' in decision) return 'lost';
    if ('moved' in decision) return 'moved';
    if ('overruled' in decision) return toOverruledAnswer(decision, admission);
    budgets.seen(admission.keyId, admission.money, decision.budgets);
    if (decision.admitted) {
      fallback.admitted(admission, { timeMs: decision.timeMs });
      lives.used(tagOf(admission.keyId));
    }
    const answer = toAnswer(decision, admission, { degraded: false, random });
    near.noted(admission, answer);
    if ('budgets' in answer && answer.budgets !== undefined) fallback.heard(admission.keyId, answer.budgets, answer.timeMs);
    return answer;
  };
  const askStore = makeAskStore({
    admissions,
    leases,
    breakerOf: (tag) => nodes.breakerOf(tag),
    storeClock,
    lifeOf: (tag) => lives.of(tag),
    measured,
    deadlineMs,
    monotonicNow,
    clockText: clock,
    release: (admission) => sender.sendAtOnce(toRelease(admission), 'release'),
  });
  const ask = makeTogether({
    groupOf: ({ keyId }: Admission) => tagOf(keyId),
    most: mostTogether,
    async send(batch) {
      const tag = batch[0] === undefined ? '' : tagOf(batch[0].keyId);
      // its life may have ended since they asked to be sent
      while (lives.settling(tag) !== undefined) await lives.settling(tag);
      const decisions = await askStore(batch);
      return batch.flatMap((admission, position) => {
        const decided = decisions[position];
        return decided === undefined ? [] : toShared(decided, admission);
      });
    },
  });
  const untilKnown = makeUntilKnown({ lives, restore: (keyId) => budgets.restore(keyId) });
  const decide = async (admission: Admission): Promise<AdmitAnswer> => {
    const answer = await untilKnown(admission.keyId, () => ask(admission));
    return answer === 'closed' ? { outcome: 'unavailable' } : (answer ?? decideWithout(admission));
  };
  const look = makeLook({ admissions, lifeOf: (tag) => lives.of(tag), measured, deadlineMs, monotonicNow, clockText: clock });
  /** Spend, and what requests in flight hold, where the store has lost that with it. */
  const tellBudgets: SharedBudgets['asked'] = (question) => {
    budgets.asked(question);
    for (const call of fallback.adopted(question.keyId)) sender.add({ what: 'call', call: { ...call, command: 'push' } });
  };
  const start = (): void => {
    admissions.watch({
      onReady() {
        nodes.review('');
        // it may be another Redis than before, without any outage between
        nodes.tellIfThere();
      },
      onLost: (reason) => nodes.review(reason),
    });
    settlements.watch({ onReady: () => sender.kick(), onLost: () => {} });
  };
  start();

  return {
    get degraded() {
      return nodes.degraded;
    },
    hasten(wanted) {
      const arrived = canAsk(wanted.keyId) ? sender.hasten(wanted) : undefined;
      return arrived && awaitReply(arrived, { deadlineMs, monotonicNow });
    },
    decides: canAsk,
    ready: (withinMs) => nodes.ready(withinMs),
    take(asked) {
      const admission = withHolder(asked);
      if (leases === undefined || !canAsk(admission.keyId)) return undefined;
      const spent = leases.take(admission);
      if (spent === undefined) return undefined;
      const { leaseId, decision } = spent;
      fallback.admitted(admission, { timeMs: decision.timeMs });
      lives.used(tagOf(admission.keyId));
      sender.add({ what: 'spend', admission, leaseId });
      return toAnswer(decision, admission, { degraded: false, random });
    },
    async admit(asked) {
      const admission = withHolder(asked);
      if (countsNothing(admission)) return { outcome: 'admitted', timeMs: now(), windows: [], shadowRefusals: [], degraded: false };
      if (!canAsk(admission.keyId)) return decideWithout(admission);
      return decide(admission);
    },
    async peek(question) {
      const answer = canAsk(question.keyId) ? await untilKnown(question.keyId, () => look(question)) : undefined;
      return answer === 'closed' ? { outcome: 'unavailable' } : (answer ?? fallback.peek(question));
    },
    settle(settled) {
      const settlement = withHolder(settled);
      const wasTold = fallback.wasTold(settlement);
      const known = fallback.ended(settlement);
      nodes.tellSoon();
      const item = toSettled(known);
      if (item === undefined) return;
      // what was told in a batch must not be overtaken by its end
      if (known.concurrency && nodes.answers(tagOf(known.keyId)) && !wasTold) sender.sendAtOnce(item, 'settle');
      else sender.add(item);
      if (near.isAwaited(known) && nodes.answers(tagOf(known.keyId)))
        void sender.hasten({ keyId: known.keyId, requests: known.refundRequest });
    },
    renew(renewed, tokens, costNanoUsd = 0) {
      const known = fallback.renewed(withHolder(renewed), tokens);
      if (known === undefined || countsNothing(known)) return;
      sender.add({ what: 'renew', admission: known, flowed: { tokens, costNanoUsd } });
    },
    budgets: { asked: tellBudgets, reset: budgets.reset },
    forget: (keyId) => leases?.drop(keyId),
    async flush() {
      await sender.flush();
    },
    async close() {
      leases?.close();
      await this.flush();
      nodes.stop();
      budgets.stop();
      lives.stop();
      await Promise.all([admissions.close(), settlements.close()]);
    },
  };
}

function countsNothing({ windows, concurrency, money }: Admission): boolean {
  return windows.length === 0 && concurrency === undefined && money === undefined;
}
