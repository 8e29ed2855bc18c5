import { randomUUID } from 'node:crypto';
import { tagOf } from '../../core/hash-tag.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import { toStoredBudgets } from '../../runtime/budget-restore.ts';
import { type Decision, type Lost, type Moved, type Overruled, toAnswer, toOverruledAnswer } from './answers.ts';
import { awaitReply } from './await-reply.ts';
import { makeBreaker } from './breaker.ts';
import type { BudgetRestore, RestoreTimes } from './budget-restorer.ts';
import { toRelease, toSettled } from './to-afterwards.ts';
import type { Admission, AdmitAnswer, Counters, PeekQuestion } from './counters.ts';
import { type FailurePolicy, makeFallback } from './fallback.ts';
import { withHolder } from './holder.ts';
import { makeLimiterMetrics } from './limiter-metrics.ts';
import { type Reading, toPeekAnswer } from './peek.ts';
import { toFigures, toPeekBudgetsCall, toPeekCall, toReading } from './peek-script.ts';
import { toAdmitCall, toDecisions } from './scripts.ts';
import type { ScriptStore } from './script-store.ts';
import { makeSharedBudgets, type SharedBudgets } from './shared-budgets.ts';
import { makeStoreClock } from './store-clock.ts';
import { makeStoreLives } from './store-lives.ts';
import { makeStoreProbe } from './store-probe.ts';
import { makeStoreSender } from './store-sender.ts';
import { makeTogether } from './together.ts';

export interface SharedCounters extends Counters {
  /** true while the failure policy decides */
  readonly degraded: boolean;
  /** resolves when the store answers for the first time, or after `withinMs`, whichever is first */
  ready(withinMs: number): Promise<void>;
  /** a process brings back the spend of a key that the store has lost: it is told what this one knows */
  readonly budgets: Pick<SharedBudgets, 'asked' | 'reset'>;
}

interface Options {
  readonly admissions: ScriptStore;
  readonly settlements: ScriptStore;
  readonly failurePolicy: FailurePolicy;
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
}

/**
 * More than the least time in which TCP sends a lost packet again (200 ms), and than a fork of a large Redis: an answer that comes is worth waiting for, since without it the
 * limit is not held for all proxies together. A connection that is lost is known at once (docs/decisions/0017-redis-deadline.md).
 */
const longestAnswerMs = 250;
/** One script holds up everybody else: so many admissions take well under a millisecond. */
const mostTogether = 64;
/** Restored, asked again, and lost once more: somebody empties the store all the time. */
const mostAttempts = 3;
const batchMs = 50;

const monotonicNow = (): number => performance.now();

/**
 * Counters kept by a store that may be slow or away: an own deadline for each admission, a breaker, the failure policy, settlements in batches. No method throws or rejects
 * because of the store.
 */
export function makeSharedCounters({
  admissions,
  settlements,
  failurePolicy,
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
}: Options): SharedCounters {
  const measured = makeLimiterMetrics(metrics, () => sender.depth);
  const clock = (): string => (redisClock === undefined ? '' : String(redisClock()));
  const storeClock = makeStoreClock({ monotonicNow, wallNow: now });
  const fallback = makeFallback({
    policy: failurePolicy,
    replicas,
    random,
    storeClock,
    process: randomUUID(),
    readyFor: (tag) => admissions.readyFor(tag),
    // a promoted replica has the life of its master, an emptied master its own replication id
    epochOf: (tag) => (admissions.epochOf(tag) || lives.of(tag)) && `${admissions.epochOf(tag)}:${lives.of(tag)}`,
    clockText: clock,
  });
  const lives = makeStoreLives({
    runAll: (calls) => admissions.runAll(calls),
    readyFor: (tag) => admissions.readyFor(tag),
    masterOf: (tag) => admissions.epochOf(tag),
    onBegan: (tag) => fallback.began(tag),
    onAnother: () => tellKnown(),
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
  let degraded: boolean | undefined;
  /** Redis is back and is being told what was decided without it */
  let returning = false;
  let tellTimer: NodeJS.Timeout | undefined;
  let closed = false;
  const firstReady = Promise.withResolvers<void>();
  measured.degraded.set(1);

  const review = (reason: string): void => {
    const away = !admissions.ready || breaker.open;
    if (degraded === true && !away) comeBack();
    else change(away, reason);
  };
  const change = (next: boolean, reason: string): void => {
    if (next === degraded || closed) return;
    degraded = next;
    measured.degraded.set(next ? 1 : 0);
    if (!next) firstReady.resolve();
    if (next) log.warn({ event: 'limiter_degraded', redis: where, reason, policy: failurePolicy }, 'Redis is away: limits are degraded');
    else log.info({ event: 'limiter_shared', redis: where }, 'limits are shared through Redis');
  };
  const tellKnown = (): Promise<void> => {
    for (const call of fallback.take()) sender.add({ what: 'call', call: { ...call, command: 'push' } });
    return sender.tell();
  };
  const tell = async (): Promise<void> => {
    // first which life it is told to: all proxies must name the same
    await awaitReply(lives.look(), { deadlineMs, monotonicNow });
    return tellKnown();
  };
  /** Redis is told what was decided without it before it decides again, so that it does not let the same in once more; for at most a second. */
  const comeBack = (): void => {
    if (returning) return;
    returning = true;
    void tell().then(() => {
      returning = false;
      change(!admissions.ready || breaker.open, '');
      tellSoon();
    });
  };
  /** What was decided here without an outage of all: after a late answer, or while a part of a cluster was away. */
  const tellSoon = (): void => {
    if (tellTimer !== undefined || closed || degraded !== false || !fallback.waiting) return;
    tellTimer = setTimeout(() => {
      tellTimer = undefined;
      if (degraded === false) void tell();
    }, batchMs);
  };
  const breaker = makeBreaker({
    now: monotonicNow,
    onChange(open) {
      review('no answer in time, or errors');
      if (open) probe.soon();
    },
  });
  const probe = makeStoreProbe({
    probe() {
      measured.commands.inc({ command: 'probe' });
      return admissions.probe();
    },
    needed: () => breaker.open,
    onProbed: (answered) => breaker.probed(answered),
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
  });
  const decideWithout = (admission: Admission): AdmitAnswer => {
    const answer = fallback.decide(admission);
    tellSoon();
    return answer;
  };
  const toShared = (decision: Decision | Overruled | Lost | Moved, admission: Admission): AdmitAnswer | 'lost' | 'moved' => {
    if ('lost' in decision) return 'lost';
    if ('moved' in decision) return 'moved';
    if ('overruled' in decision) return toOverruledAnswer(decision, admission);
    budgets.seen(admission.keyId, admission.money, decision.budgets);
    if (decision.admitted) {
      fallback.admitted(admission, { timeMs: decision.timeMs });
      lives.used(tagOf(admission.keyId));
    }
    const answer = toAnswer(decision, admission, { degraded: false, random });
    if ('budgets' in answer && answer.budgets !== undefined) fallback.heard(admission.keyId, answer.budgets, answer.timeMs);
    return answer;
  };
  /** One call and one answer for all of them: a late one is one failure of Redis, however many waited for it. */
  const askRedis = async (batch: readonly Admission[]): Promise<readonly (AdmitAnswer | 'lost' | 'moved')[]> => {
    measured.commands.inc({ command: 'admit' });
    const startedMs = monotonicNow();
    const tag = batch[0] === undefined ? '' : tagOf(batch[0].keyId);
    const decisions = admissions
      .run(toAdmitCall(batch, clock(), admissions.epochOf(tag), lives.of(tag)))
      .then((reply) => toDecisions(reply, batch.length));
    const reply = await awaitReply(decisions, { deadlineMs, monotonicNow });
    for (const _ of batch) measured.duration.observe((monotonicNow() - startedMs) / 1_000);
    if (reply.outcome === 'reply') {
      breaker.success();
      const receivedMs = monotonicNow();
      return batch.flatMap((admission, position) => {
        const decision = reply.value[position];
        if (decision !== undefined) storeClock.heard(decision.timeMs, startedMs, receivedMs);
        return decision === undefined ? [] : toShared(decision, admission);
      });
    }
    if (reply.outcome === 'late') measured.timeouts.inc(batch.length);
    if (reply.outcome === 'failed' || !reply.ownStall) breaker.failure();
    // they may have been admitted or still be: what nobody knows of must not stay reserved
    for (const admission of batch) sender.sendAtOnce(toRelease(admission), 'release');
    return [];
  };
  const ask = makeTogether({ groupOf: ({ keyId }: Admission) => tagOf(keyId), most: mostTogether, send: askRedis });
  const look = async (question: PeekQuestion): Promise<Reading> => {
    const budgets = question.budgets?.length ? admissions.run(toPeekBudgetsCall(question)) : ['', ''];
    const [reading, stored] = await Promise.all([admissions.run(toPeekCall(question, clock())), budgets]);
    const { timeMs, ...rest } = toReading(reading);
    return { timeMs, ...rest, budgets: toFigures(question, toStoredBudgets(stored), timeMs) };
  };
  /** A budget whose spend the store has lost is neither used up nor empty: the request waits until it is known again. */
  const askUntilKnown = async (admission: Admission): Promise<AdmitAnswer> => {
    const tag = tagOf(admission.keyId);
    for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
      await lives.settling(tag);
      const answer = await ask(admission);
      if (answer === undefined) break;
      if (answer !== 'lost' && answer !== 'moved') return answer;
      const outcome = answer === 'lost' ? await budgets.restore(admission.keyId) : await lives.moved(tag);
      if (outcome === 'closed') return { outcome: 'unavailable' };
      if (outcome === 'failed') break;
    }
    return decideWithout(admission);
  };
  /** Spend, and what requests in flight hold, where the store has lost that with it. */
  const tellBudgets: SharedBudgets['asked'] = (question) => {
    budgets.asked(question);
    for (const call of fallback.adopted(question.keyId)) sender.add({ what: 'call', call: { ...call, command: 'push' } });
  };
  const start = (): void => {
    admissions.watch({
      onReady() {
        if (breaker.open) probe.soon();
        review('');
        // it may be another Redis than before, without any outage between
        if (degraded === false) void tell();
      },
      onLost: (reason) => review(reason),
    });
    settlements.watch({ onReady: () => sender.kick(), onLost: () => {} });
  };
  start();

  return {
    get degraded() {
      return degraded !== false;
    },
    async ready(withinMs) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, withinMs);
      });
      await Promise.race([firstReady.promise, late]);
      clearTimeout(timer);
    },
    async admit(asked) {
      const admission = withHolder(asked);
      if (countsNothing(admission)) return { outcome: 'admitted', timeMs: now(), windows: [], shadowRefusals: [], degraded: false };
      if (!admissions.readyFor(tagOf(admission.keyId)) || breaker.open || returning) return decideWithout(admission);
      return askUntilKnown(admission);
    },
    async peek(question) {
      if (admissions.readyFor(tagOf(question.keyId)) && !breaker.open && !returning) {
        measured.commands.inc({ command: 'peek' });
        const reply = await awaitReply(look(question), { deadlineMs, monotonicNow });
        // a late one says nothing to the breaker: it is the admissions that must not wait
        if (reply.outcome === 'reply') return toPeekAnswer(reply.value, question, { degraded: false });
      }
      return fallback.peek(question);
    },
    settle(settled) {
      const settlement = withHolder(settled);
      const known = fallback.ended(settlement);
      tellSoon();
      const item = toSettled(known);
      if (item === undefined) return;
      // what was told in a batch must not be overtaken by its end
      const isTold = known.requestId !== settlement.requestId;
      if (known.concurrency && !breaker.open && !isTold) sender.sendAtOnce(item, 'settle');
      else sender.add(item);
    },
    renew(renewed, tokens, costNanoUsd = 0) {
      const known = fallback.renewed(withHolder(renewed), tokens);
      if (known === undefined || countsNothing(known)) return;
      sender.add({ what: 'renew', admission: known, flowed: { tokens, costNanoUsd } });
    },
    budgets: { asked: tellBudgets, reset: budgets.reset },
    async flush() {
      await sender.flush();
    },
    async close() {
      await this.flush();
      closed = true;
      probe.stop();
      clearTimeout(tellTimer);
      budgets.stop();
      lives.stop();
      await Promise.all([admissions.close(), settlements.close()]);
    },
  };
}

function countsNothing({ windows, concurrency, money }: Admission): boolean {
  return windows.length === 0 && concurrency === undefined && money === undefined;
}
