import { budgetWindowId } from '../../../core/budget.ts';
import { toBudgetStates } from '../budget-answers.ts';
import type { Admission, BudgetLimit, BudgetState, Settlement } from '../counters.ts';

/**
 * What a proxy may spend of budgets while the store is away: what was left when it last heard of them, divided by the proxies. A budget of which it has heard nothing gets
 * nothing, so a proxy that starts meanwhile spends no money.
 */
export interface BudgetShare {
  /** what the store says of the budgets of a key at its `timeMs` */
  heard(keyId: string, states: readonly BudgetState[], timeMs: number): void;
  /** undefined: it fits */
  check(
    admission: Admission,
    nowMs: number,
  ): { readonly outcome: 'exhausted'; readonly budget: BudgetState } | { readonly outcome: 'unavailable' } | undefined;
  /** holds what `check` let in */
  commit(admission: Admission, nowMs: number): void;
  /** does nothing for what was not committed here */
  settle(settlement: Settlement): void;
}

/** One window of one budget: what the store said, and what was decided here since. Integer nano-dollars. */
interface Known {
  readonly id: number;
  readonly spentNanoUsd: number;
  readonly reservedNanoUsd: number;
  hereNanoUsd: number;
}

interface Held {
  readonly boundNanoUsd: number;
  readonly holders: readonly Known[];
}

/** Keys heard of longest ago are forgotten first; what they get then is nothing. */
const mostBudgets = 50_000;
const mostHeld = 100_000;

export function makeBudgetShare({ replicas }: { replicas: () => number }): BudgetShare {
  const known = new Map<string, Known>();
  const held = new Map<string, Held>();

  const put = (name: string, value: Known): Known => {
    known.delete(name);
    known.set(name, value);
    const [oldest] = known.keys();
    if (known.size > mostBudgets && oldest !== undefined) known.delete(oldest);
    return value;
  };
  /** A window that began after the store was heard last has no spend but ours. */
  const windowAt = (keyId: string, { period }: BudgetLimit, nowMs: number): Known | undefined => {
    const name = nameOf(keyId, period);
    const last = known.get(name);
    const id = budgetWindowId(period, nowMs);
    if (last === undefined || id < last.id) return undefined;
    return id === last.id ? last : put(name, { id, spentNanoUsd: 0, reservedNanoUsd: 0, hereNanoUsd: 0 });
  };
  return {
    heard(keyId, states, timeMs) {
      for (const { period, spentNanoUsd, reservedNanoUsd } of states) {
        put(nameOf(keyId, period), { id: budgetWindowId(period, timeMs), spentNanoUsd, reservedNanoUsd, hereNanoUsd: 0 });
      }
    },
    check({ keyId, money }, nowMs) {
      if (money === undefined) return undefined;
      for (const budget of money.budgets.filter(({ shadow }) => !shadow)) {
        const window = windowAt(keyId, budget, nowMs);
        if (window === undefined) return { outcome: 'unavailable' };
        const [state] = toBudgetStates([budget], [{ ...window, windowId: window.id }], nowMs);
        if (state !== undefined && window.spentNanoUsd + money.boundNanoUsd > budget.limitNanoUsd)
          return { outcome: 'exhausted', budget: state };
        const left = Math.max(0, budget.limitNanoUsd - window.spentNanoUsd - window.reservedNanoUsd);
        if (window.hereNanoUsd + money.boundNanoUsd > Math.floor(left / Math.max(1, replicas()))) return { outcome: 'unavailable' };
      }
      return undefined;
    },
    commit({ requestId, keyId, money }, nowMs) {
      if (money === undefined) return;
      const holders = money.budgets.flatMap((budget) => windowAt(keyId, budget, nowMs) ?? []);
      for (const window of holders) window.hereNanoUsd += money.boundNanoUsd;
      held.set(requestId, { boundNanoUsd: money.boundNanoUsd, holders });
      const [oldest] = held.keys();
      if (held.size > mostHeld && oldest !== undefined) held.delete(oldest);
    },
    settle({ requestId, money }) {
      const reservation = held.get(requestId);
      if (reservation === undefined) return;
      held.delete(requestId);
      const costNanoUsd = money?.costNanoUsd ?? 0;
      for (const window of reservation.holders) window.hereNanoUsd += costNanoUsd - reservation.boundNanoUsd;
    },
  };
}

function nameOf(keyId: string, period: BudgetLimit['period']): string {
  return `${keyId}\n${period}`;
}
