import type { Decision } from './answers.ts';
import type { Admission, LimitWindow, PeekQuestion, Settlement } from './counters.ts';
import { LimitStore } from './limit-store.ts';
import type { Reading } from './peek.ts';

/**
 * What a proxy decides by while Redis is away: the same algorithm on a share of each limit, ⌈limit / replicas⌉ and at least 1. The store holds every admission of this proxy all
 * the time, those that Redis decided too, so the share is less by what the proxy admitted in the last window. Bound: ≤ 2 × limit over the edge of an outage.
 */
export interface LocalShare {
  /** counts what Redis admitted */
  book(admission: Admission): void;
  decide(admission: Admission): { readonly decision: Decision; readonly share: Admission };
  /** what this proxy has seen by itself, and its shares of the windows */
  peek(question: PeekQuestion): { readonly reading: Reading; readonly shares: readonly LimitWindow[] };
  /** gives true when the admission was decided here, so that Redis knows nothing of it */
  settle(settlement: Settlement): boolean;
  renew(admission: Admission, tokensSoFar: number): void;
}

/** Decisions remembered as made here; beyond it the oldest are forgotten, which costs Redis a settlement that does nothing. */
const mostRemembered = 100_000;

export function makeLocalShare({ replicas, now }: { replicas: () => number; now: () => number }): LocalShare {
  const store = new LimitStore();
  const decidedHere = new Set<string>();
  return {
    book: (admission) => store.book(withoutMoney(admission), now()),
    decide(admission) {
      const share = toShare(withoutMoney(admission), replicas());
      const decision = store.admit(share, now());
      if (!decision.admitted) return { decision, share };
      decidedHere.add(admission.requestId);
      const [oldest] = decidedHere;
      if (decidedHere.size > mostRemembered && oldest !== undefined) decidedHere.delete(oldest);
      return { decision, share };
    },
    peek(question) {
      const shares = toShares(question.windows, replicas());
      return { reading: store.peek(question, now()), shares };
    },
    settle(settlement) {
      store.settle(settlement, now());
      return decidedHere.delete(settlement.requestId);
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
