import type { KeyRecord } from '../../core/snapshot.ts';
import type { BudgetLimit } from '../counters/counters.ts';

/** The budgets of a key as the counters take them. */
export function toBudgetLimits({ budgets = [] }: KeyRecord): readonly BudgetLimit[] {
  return budgets.map(({ period, limitNanoUsd, mode }) => ({ period, limitNanoUsd, shadow: mode === 'Shadow' }));
}
