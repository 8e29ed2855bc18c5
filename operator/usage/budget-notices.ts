import { budgetWindowId, budgetWindowText, toBudgetField } from '../../core/budget.ts';
import type { KeyUsage } from '../../core/key-usage.ts';
import { formatNanoUsd, parseNanoUsd } from '../../core/money.ts';
import type { VirtualKeyBudget } from '../../core/resources.ts';
import { type Notice, toWarning } from '../translate/problem.ts';

/** As the CRD says. */
const defaultWarnAt: readonly number[] = [80, 100];

/** A share of a budget that was reached and of which nobody was told in its window yet. */
export interface BudgetNotice {
  readonly notice: Notice;
  readonly period: VirtualKeyBudget['period'];
  /** percent */
  readonly share: number;
  /** window → percent, as it is to be remembered */
  readonly field: string;
  readonly spentNanoUsd: number;
  readonly limitNanoUsd: number;
}

/** What is to be told of the budgets of a key now: of each the highest share that was reached, once a window. */
export function findBudgetNotices(budgets: readonly VirtualKeyBudget[], usage: KeyUsage, nowMs: number): readonly BudgetNotice[] {
  return budgets.flatMap((budget) => {
    const { period, limit, warnAt = defaultWarnAt } = budget;
    const id = budgetWindowId(period, nowMs);
    const field = toBudgetField(period, id);
    const spentNanoUsd = usage.spent[field] ?? 0;
    const limitNanoUsd = parseNanoUsd(limit);
    const share = Math.max(0, ...warnAt.filter((percent) => isReached(spentNanoUsd, limitNanoUsd, percent)));
    if (share <= (usage.warned[field] ?? 0)) return [];
    const message = `${formatNanoUsd(spentNanoUsd)} of ${formatNanoUsd(limitNanoUsd)} USD are spent (${period}, ${budgetWindowText(period, id)}): ${share}% reached`;
    const notice = toWarning(share >= 100 ? 'BudgetExhausted' : 'BudgetWarning', message);
    return [{ notice, period, share, field, spentNanoUsd, limitNanoUsd }];
  });
}

/** In integers: a percent of a million dollars times a hundred does not leave them. A budget of nothing is reached when something was spent. */
function isReached(spentNanoUsd: number, limitNanoUsd: number, percent: number): boolean {
  return spentNanoUsd > 0 && Number.isSafeInteger(limitNanoUsd) && BigInt(spentNanoUsd) * 100n >= BigInt(limitNanoUsd) * BigInt(percent);
}

/** The usage with these told. */
export function toWarned(usage: KeyUsage, notices: readonly BudgetNotice[]): KeyUsage {
  if (notices.length === 0) return usage;
  return { ...usage, warned: { ...usage.warned, ...Object.fromEntries(notices.map(({ field, share }) => [field, share])) } };
}
