import { budgetsKey, type BudgetReset, type RestoreQuestion } from '../../core/budget-restore.ts';
import { parseBudgetField, toBudgetField } from '../../core/budget.ts';
import { hashTags, tagOf } from '../../core/hash-tag.ts';
import { toRestoreCall } from '../../runtime/budget-restore.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { RedisScriptCall } from '../../runtime/redis-script.ts';
import { type BudgetRestore, makeBudgetRestorer, type RestoreOutcome, type RestoreTimes } from './outage/budget-restorer.ts';
import type { BudgetFigures } from './budget-store.ts';
import { startBudgetSweeper } from './budget-sweeper.ts';
import type { MoneyReservation } from './counters.ts';
import { makeSeenSpend } from './outage/seen-spend.ts';
import { toEpochText, toFormerSpendCall } from './scripts/budget-scripts.ts';
import type { ScriptStore } from './scripts/script-store.ts';

/** What a process does for budgets that the store keeps: it remembers what it sees, brings back what the store has lost, and sweeps. */
export interface SharedBudgets {
  seen(keyId: string, money: MoneyReservation | undefined, figures: readonly BudgetFigures[] | undefined): void;
  /** what settle.lua says of the windows that it changed */
  settled(keyId: string, reply: unknown): void;
  restore(keyId: string): Promise<RestoreOutcome>;
  /** what was seen in lives of the store before this one, of masters that have begun another; whoever takes it sends it until it has arrived */
  takeFormer(): readonly RedisScriptCall[];
  /** somebody else brings back the spend of a key */
  asked(question: RestoreQuestion): void;
  reset(reset: BudgetReset): void;
  stop(): void;
}

interface Options {
  readonly admissions: ScriptStore;
  readonly settlements: ScriptStore;
  readonly policy: BudgetRestore;
  readonly times: RestoreTimes | undefined;
  readonly clockText: () => string;
  readonly now: () => number;
  readonly monotonicNow: () => number;
  readonly random: () => number;
  readonly metrics: Metrics;
}

export function makeSharedBudgets({
  admissions,
  settlements,
  policy,
  times,
  clockText,
  now,
  monotonicNow,
  random,
  metrics,
}: Options): SharedBudgets {
  const spend = makeSeenSpend({ now });
  const restores = metrics.counter({
    name: 'budget_restores_total',
    help: 'Keys whose spend the store had lost, by how it came back: answered or unanswered by the operator, kept (another proxy was faster), closed (nobody answered, requests are refused), failed.',
    labels: ['outcome'],
  });
  const restorer = makeBudgetRestorer({
    run: (call) => admissions.run(call),
    epochOf: (tag) => admissions.epochOf(tag),
    spendOf: (keyId) => spend.of(keyId),
    policy,
    monotonicNow,
    onEnd: (outcome) => restores.inc({ outcome }),
    ...(times && { times }),
  });
  const sweeper = startBudgetSweeper({
    readyFor: (tag) => settlements.readyFor(tag),
    placeOf: (tag) => settlements.placeOf(tag),
    runAll: (calls) => settlements.runAll(calls),
    clockText,
    random,
  });
  /** by tag, as it was looked at last */
  const epochs = new Map<string, string>();
  const changedTags = (): ReadonlySet<string> => {
    const changed = new Set<string>();
    for (const tag of hashTags) {
      const [before, epoch] = [epochs.get(tag), admissions.epochOf(tag)];
      if (epoch === '' || epoch === before) continue;
      epochs.set(tag, epoch);
      if (before !== undefined) changed.add(tag);
    }
    return changed;
  };
  return {
    seen(keyId, money, figures = []) {
      const epoch = toEpochText(admissions.epochOf(tagOf(keyId)));
      for (const [position, { windowId, spentNanoUsd }] of figures.entries()) {
        const budget = money?.budgets[position];
        if (budget !== undefined) spend.note(keyId, toBudgetField(budget.period, windowId), { spentNanoUsd, epoch });
      }
    },
    settled(keyId, reply) {
      if (!Array.isArray(reply)) return;
      // as the store says it: who has just been sent on to another master does not know yet what that one's is
      const epoch = reply.at(-2) === 'e' ? String(reply.at(-1)) : '';
      for (let position = 0; position + 1 < reply.length; position += 2) {
        const field = String(reply[position]);
        if (parseBudgetField(field) !== undefined) spend.note(keyId, field, { spentNanoUsd: Number(reply[position + 1]), epoch });
      }
    },
    restore: (keyId) => restorer.restore(keyId),
    takeFormer() {
      const changed = changedTags();
      if (changed.size === 0) return [];
      const former = spend.takeFormer((keyId) => (changed.has(tagOf(keyId)) ? admissions.epochOf(tagOf(keyId)) : undefined));
      return [...former].map(([keyId, spent]) => toFormerSpendCall(keyId, admissions.epochOf(tagOf(keyId)), spent));
    },
    asked({ keyId }) {
      const known = spend.of(keyId);
      if (known.size > 0) settlements.run(toRestoreCall(budgetsKey(keyId), known)).catch(() => {}); // it asks again
    },
    reset: (reset) => spend.forget(reset),
    stop: () => sweeper.stop(),
  };
}
