import { budgetWindowEndMs, budgetWindowText } from '../../core/budget.ts';
import type { BudgetFigures } from './budget-store.ts';
import type { BudgetLimit, BudgetState } from './counters.ts';

/** `figures` are those of `budgets`, in their order. */
export function toBudgetStates(budgets: readonly BudgetLimit[], figures: readonly BudgetFigures[], nowMs: number): BudgetState[] {
  return budgets.flatMap((budget, position) => {
    const stands = figures[position];
    return stands === undefined ? [] : [toBudgetState(budget, stands, nowMs)];
  });
}

/** Of the budgets that are used up, the one that frees last: until then it would refuse whatever the others do. */
export function lastToFree(states: readonly BudgetState[]): BudgetState | undefined {
  const freesMs = ({ resetMs }: BudgetState): number => resetMs ?? Number.POSITIVE_INFINITY;
  return states.reduce<BudgetState | undefined>(
    (last, state) => (last === undefined || freesMs(state) > freesMs(last) ? state : last),
    undefined,
  );
}

/** How a shadow budget is named among the limits that would have refused. */
export function toBudgetName({ period }: Pick<BudgetLimit, 'period'>): string {
  return `budget:${period}`;
}

function toBudgetState(
  { period, limitNanoUsd }: BudgetLimit,
  { windowId, spentNanoUsd, reservedNanoUsd }: BudgetFigures,
  nowMs: number,
): BudgetState {
  const endMs = budgetWindowEndMs(period, windowId);
  return {
    period,
    window: budgetWindowText(period, windowId),
    limitNanoUsd,
    spentNanoUsd,
    reservedNanoUsd,
    ...(endMs === undefined ? {} : { resetMs: Math.max(0, endMs - nowMs) }),
  };
}
