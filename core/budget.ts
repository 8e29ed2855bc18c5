import type { KeyBudget } from './snapshot.ts';

/**
 * Calendar windows of budgets, in UTC. A window has an integer id, so that the id of the moment of admission can be part of what is stored: a settlement after midnight then
 * finds its own window, and no job has to reset anything. proxy/counters/scripts/budget.lua counts the same ids by the clock of Redis.
 */
export type BudgetPeriod = KeyBudget['period'];

/** Spend by field (`D20779`, `W2969`, `M24322`, `T0`), integer nano-dollars: what a checkpoint holds of one key. */
export type BudgetSpend = Readonly<Record<string, number>>;

const dayMs = 86_400_000;
/** 1970 began on a Thursday: three days after the Monday from which weeks are counted. */
const daysFromMonday = 3;

/** The window that holds a moment (ms since 1970): days or weeks (from Monday) since 1970, months since the year 0, or 0 for the one that never ends. */
export function budgetWindowId(period: BudgetPeriod, atMs: number): number {
  if (period === 'Total') return 0;
  if (period === 'Daily') return Math.floor(atMs / dayMs);
  if (period === 'Weekly') return Math.floor((Math.floor(atMs / dayMs) + daysFromMonday) / 7);
  const date = new Date(atMs);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}

/** First moment of the window, ms since 1970; that which never began began in 1970. */
export function budgetWindowStartMs(period: BudgetPeriod, id: number): number {
  if (period === 'Total') return 0;
  if (period === 'Daily') return id * dayMs;
  if (period === 'Weekly') return (id * 7 - daysFromMonday) * dayMs;
  return Date.UTC(Math.floor(id / 12), id % 12);
}

/** When the next window begins, ms since 1970; undefined for `Total`, which never frees. */
export function budgetWindowEndMs(period: BudgetPeriod, id: number): number | undefined {
  return period === 'Total' ? undefined : budgetWindowStartMs(period, id + 1);
}

/** `2026-11-22`, `2026-W47` (ISO 8601: the week belongs to the year of its Thursday), `2026-11` or `total`. */
export function budgetWindowText(period: BudgetPeriod, id: number): string {
  if (period === 'Total') return 'total';
  const start = new Date(budgetWindowStartMs(period, id));
  if (period === 'Daily') return start.toISOString().slice(0, 10);
  if (period === 'Monthly') return start.toISOString().slice(0, 7);
  const thursday = new Date(start.getTime() + 3 * dayMs);
  const year = thursday.getUTCFullYear();
  const week = 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0)) / (7 * dayMs));
  return `${year}-W${String(week).padStart(2, '0')}`;
}

const letters = { Daily: 'D', Weekly: 'W', Monthly: 'M', Total: 'T' } as const;
const periods: Readonly<Record<string, BudgetPeriod>> = { D: 'Daily', W: 'Weekly', M: 'Monthly', T: 'Total' };

/** As budgets are told to scripts. */
export function budgetLetter(period: BudgetPeriod): 'D' | 'W' | 'M' | 'T' {
  return letters[period];
}

/** The name of a window wherever spend is stored: a letter and the id. */
export function toBudgetField(period: BudgetPeriod, id: number): string {
  return `${letters[period]}${id}`;
}

/** undefined: it names no window. */
export function parseBudgetField(field: string): { readonly period: BudgetPeriod; readonly id: number } | undefined {
  const match = /^([DWMT])(\d{1,9})$/.exec(field);
  const period = periods[match?.[1] ?? ''];
  return match === null || period === undefined ? undefined : { period, id: Number(match[2]) };
}

/** True once the window can be forgotten: two before the one of this moment, so that a request of the last minute of a window and a clock that goes back a little find theirs. */
export function isPastBudgetField(field: string, nowMs: number): boolean {
  const parsed = parseBudgetField(field);
  return parsed !== undefined && parsed.period !== 'Total' && parsed.id < budgetWindowId(parsed.period, nowMs) - 1;
}
