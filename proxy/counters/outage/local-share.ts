import type { Decision } from '../answers.ts';
import { makeBudgetShare } from './budget-share.ts';
import type { Admission, BudgetState, LimitWindow, PeekQuestion, Settlement } from '../counters.ts';
import { LimitStore } from '../limit-store.ts';
import type { Reading } from '../peek.ts';

/**
 * What a proxy decides by while Redis is away: the same algorithm on a share of each limit, ⌈limit / replicas⌉ and at least 1. The store holds every admission of this proxy all
 * the time, those that Redis decided too, so the share is less by what the proxy admitted in the last window. Bounds: docs/decisions/0024-outages.md.
 */
export interface LocalShare {
  /** counts what Redis admitted at its `timeMs` */
  book(admission: Admission, timeMs: number): void;
  /** what Redis says of the budgets of a key */
  heard(keyId: string, budgets: readonly BudgetState[], timeMs: number): void;
  decide(admission: Admission): LocalDecision;
  /** what this proxy has seen by itself, and its shares of the windows */
  peek(question: PeekQuestion): { readonly reading: Reading; readonly shares: readonly LimitWindow[] };
  settle(settlement: Settlement): void;
  renew(admission: Admission, tokensSoFar: number): void;
}

export type LocalDecision =
  | { readonly outcome: 'decided'; readonly decision: Decision; readonly share: Admission }
  | { readonly outcome: 'exhausted'; readonly timeMs: number; readonly budget: BudgetState }
  /** the share of a budget is used up or not known, which says nothing about the budget itself */
  | { readonly outcome: 'unavailable' };

/** `now`: the clock of Redis as far as it is known, so that what is decided here falls into the same windows. */
export function makeLocalShare({ replicas, now }: { replicas: () => number; now: () => number }): LocalShare {
  const store = new LimitStore();
  const budgets = makeBudgetShare({ replicas });
  return {
    book: (admission, timeMs) => store.book(withoutMoney(admission), timeMs),
    heard: (keyId, states, timeMs) => budgets.heard(keyId, states, timeMs),
    decide(admission) {
      const timeMs = now();
      const lacking = budgets.check(admission, timeMs);
      if (lacking !== undefined) return { ...lacking, timeMs };
      const share = toShare(withoutMoney(admission), replicas());
      const decision = store.admit(share, timeMs);
      if (decision.admitted) budgets.commit(admission, timeMs);
      return { outcome: 'decided', decision, share };
    },
    peek(question) {
      const shares = toShares(question.windows, replicas());
      return { reading: store.peek(question, now()), shares };
    },
    settle(settlement) {
      store.settle(settlement, now());
      budgets.settle(settlement);
    },
    renew: (admission, tokens) => store.renew(withoutMoney(admission), { tokens, costNanoUsd: 0 }, now()),
  };
}

/** Money has no windows that slide: what of a budget is this proxy's to give is not decided by these buckets. */
function withoutMoney({ money: _money, ...admission }: Admission): Admission {
  return admission;
}

function toShare(admission: Admission, replicas: number): Admission {
  const windows = toShares(admission.windows, replicas);
  const { concurrency } = admission;
  return { ...admission, windows, ...(concurrency && { concurrency: { ...concurrency, limit: shareOf(concurrency.limit, replicas) } }) };
}

function toShares(windows: readonly LimitWindow[], replicas: number): LimitWindow[] {
  return windows.map((window) => ({ ...window, limit: shareOf(window.limit, replicas) }));
}

/** A limit of 0 stays 0: it refuses everything. */
function shareOf(limit: number, replicas: number): number {
  return Math.ceil(limit / Math.max(1, replicas));
}
