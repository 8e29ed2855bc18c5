import type { BudgetSpend } from '../../core/budget.ts';
import { emptyUsage } from '../../core/usage.ts';
import type { UsageEvent } from '../../core/usage-event.ts';
import { toAnswer } from './answers.ts';
import type { Counters } from './counters.ts';
import { toPeekAnswer } from './peek.ts';
import { withHolder } from './holder.ts';
import { LimitStore } from './limit-store.ts';

export interface MemoryCounters extends Counters {
  /** spend of every key that has budgets, as it would be if this process ended now: for who keeps it over a restart */
  dumpBudgets(): Readonly<Record<string, BudgetSpend>>;
  /** spend that was kept; the maximum of it and what stands counts */
  restoreBudgets(spend: Readonly<Record<string, BudgetSpend>>): void;
  /** nothing counts as spent in these windows any more; gives what did. What running requests hold stays held */
  resetBudgets(keyId: string, windows: readonly string[]): ReadonlyMap<string, number>;
  /** tests compare it */
  dump(): unknown;
  readonly size: number;
}

interface Options {
  /** ms since 1970 */
  readonly now: () => number;
  readonly random?: () => number;
  /** is told what each request used; must not throw */
  readonly onUsage?: (event: UsageEvent) => void;
}

/** Counters of one process, for standalone use: nothing is shared, and of what it counts only spend may survive it (`dumpBudgets`). */
export function makeMemoryCounters({ now, random = Math.random, onUsage = () => {} }: Options): MemoryCounters {
  const store = new LimitStore((lapsed) => onUsage({ ...lapsed, status: lapsedStatus, usage: emptyUsage, durationMs: 0 }));
  return {
    async admit(asked) {
      const admission = withHolder(asked);
      return toAnswer(store.admit(admission, now()), admission, { degraded: false, random });
    },
    async peek(question) {
      return toPeekAnswer(store.peek(question, now()), question, { degraded: false });
    },
    settle(settlement) {
      store.settle(withHolder(settlement), now());
      if (settlement.event !== undefined) onUsage(settlement.event);
    },
    renew: (admission, tokens, costNanoUsd = 0) => store.renew(withHolder(admission), { tokens, costNanoUsd }, now()),
    async flush() {},
    async close() {},
    dumpBudgets: () => store.budgets.spend(now()),
    restoreBudgets(spend) {
      for (const [keyId, windows] of Object.entries(spend)) store.budgets.restore(keyId, windows);
    },
    resetBudgets: (keyId, windows) => store.budgets.reset(keyId, windows),
    dump: () => store.dump(),
    get size() {
      return store.size;
    },
  };
}

/** Nginx' number for a request whose client was gone: nobody saw an answer. */
const lapsedStatus = 499;
