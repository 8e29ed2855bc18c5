import { budgetWindowId, budgetWindowText, toBudgetField } from '../../core/budget.ts';
import type { KeyUsage } from '../../core/key-usage.ts';
import { formatNanoUsd } from '../../core/money.ts';
import type { VirtualKeyBudget, VirtualKeyUsage } from '../../core/resources.ts';
import { toTimestamp } from '../cluster/timestamp.ts';
import { compact } from '../translate/compact.ts';

/** What the status of a key shows of its usage at a moment. Undefined: it was never used. */
export function toUsageStatus(usage: KeyUsage, budgets: readonly VirtualKeyBudget[], nowMs: number): VirtualKeyUsage | undefined {
  if (usage.requests === 0) return undefined;
  return compact({
    asOf: toTimestamp(nowMs),
    lastUsedTime: toTimestamp(usage.lastUsedMs),
    requests: usage.requests,
    errors: usage.errors,
    tokens: Math.min(Number.MAX_SAFE_INTEGER, usage.inputTokens + usage.outputTokens),
    budgets: budgets.length === 0 ? undefined : budgets.map((budget) => toBudgetStatus(usage, budget, nowMs)),
  });
}

/** Whether the present window of each budget was ever read. */
export function isSpendKnown({ spent }: KeyUsage, budgets: readonly VirtualKeyBudget[], nowMs: number): boolean {
  return budgets.every(({ period }) => spent[toBudgetField(period, budgetWindowId(period, nowMs))] !== undefined);
}

function toBudgetStatus({ spent }: KeyUsage, { period, limit }: VirtualKeyBudget, nowMs: number) {
  const id = budgetWindowId(period, nowMs);
  const spentNanoUsd = spent[toBudgetField(period, id)] ?? 0;
  return { period, window: budgetWindowText(period, id), spent: formatNanoUsd(spentNanoUsd), limit };
}

/** What is shown with the budgets of the spec as it is now: an amount that was edited, a budget that is gone. */
export function withBudgetsOf(
  usage: VirtualKeyUsage | undefined,
  budgets: readonly VirtualKeyBudget[] | undefined,
): VirtualKeyUsage | undefined {
  if (usage?.budgets === undefined) return usage;
  const shown = usage.budgets.flatMap((known) => {
    const budget = budgets?.find(({ period }) => period === known.period);
    return budget === undefined ? [] : [{ ...known, limit: budget.limit }];
  });
  return compact({ ...usage, budgets: shown.length === 0 ? undefined : shown });
}
