import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BudgetPeriod,
  budgetWindowEndMs,
  budgetWindowId,
  budgetWindowStartMs,
  budgetWindowText,
  isPastBudgetField,
  parseBudgetField,
  toBudgetField,
} from './budget.ts';

const at = (text: string): number => Date.parse(text);
const textAt = (period: BudgetPeriod, text: string): string => budgetWindowText(period, budgetWindowId(period, at(text)));

describe('windows of budgets', () => {
  it.each([
    ['Daily', '2026-11-22T23:59:59.999Z', '2026-11-22'],
    ['Daily', '2026-11-23T00:00:00.000Z', '2026-11-23'],
    // a Sunday, then the Monday after it
    ['Weekly', '2026-11-22T23:59:59.999Z', '2026-W47'],
    ['Weekly', '2026-11-23T00:00:00.000Z', '2026-W48'],
    // ISO 8601: the week belongs to the year of its Thursday
    ['Weekly', '2026-12-31T12:00:00Z', '2026-W53'],
    ['Weekly', '2027-01-03T23:59:59Z', '2026-W53'],
    ['Weekly', '2027-01-04T00:00:00Z', '2027-W01'],
    ['Weekly', '2024-12-30T00:00:00Z', '2025-W01'],
    ['Monthly', '2028-02-29T23:59:59.999Z', '2028-02'],
    ['Monthly', '2028-03-01T00:00:00.000Z', '2028-03'],
    ['Monthly', '2026-12-31T23:59:59.999Z', '2026-12'],
    ['Total', '2026-11-22T00:00:00Z', 'total'],
  ] as const)('%s at %s is %s', (period, moment, text) => {
    expect(textAt(period, moment)).toBe(text);
  });

  it('have the ids that are stored: days and weeks since 1970, months since the year 0', () => {
    const moment = at('2026-11-22T10:00:00Z');
    expect(budgetWindowId('Daily', moment)).toBe(20_779);
    expect(budgetWindowId('Weekly', moment)).toBe(2_968);
    expect(budgetWindowId('Monthly', moment)).toBe(2026 * 12 + 10);
    expect(budgetWindowId('Total', moment)).toBe(0);
  });

  it('follow each other without a gap, and hold the moments between', () => {
    fc.assert(
      fc.property(fc.constantFrom('Daily', 'Weekly', 'Monthly'), fc.integer({ min: 0, max: 7_258_118_400_000 }), (period, moment) => {
        const id = budgetWindowId(period, moment);
        const end = budgetWindowEndMs(period, id) ?? 0;
        expect(budgetWindowStartMs(period, id)).toBeLessThanOrEqual(moment);
        expect(end).toBeGreaterThan(moment);
        expect(budgetWindowId(period, end)).toBe(id + 1);
        expect(budgetWindowId(period, end - 1)).toBe(id);
      }),
    );
    expect(new Date(budgetWindowStartMs('Weekly', 2_968)).getUTCDay()).toBe(1);
  });

  it('the total never ends', () => {
    expect(budgetWindowEndMs('Total', 0)).toBeUndefined();
  });
});

describe('names of windows', () => {
  it.each(['Daily', 'Weekly', 'Monthly', 'Total'] as const)('%s is read as it was written', (period) => {
    expect(parseBudgetField(toBudgetField(period, 0))).toEqual({ period, id: 0 });
    expect(parseBudgetField(toBudgetField(period, 24_322))).toEqual({ period, id: 24_322 });
  });

  it.each(['e', 'ea', 'd', '', 'D', 'D-1', 'X5', 'D5 ', 'D1e9', 'constructor'])('%j names none', (field) => {
    expect(parseBudgetField(field)).toBeUndefined();
  });

  it('go two windows later: the one before is still settled into', () => {
    const now = at('2026-11-23T00:00:01Z');
    expect(['D20778', 'D20779', 'D20780'].map((field) => isPastBudgetField(field, now))).toEqual([true, false, false]);
    expect(['W2967', 'W2968'].map((field) => isPastBudgetField(field, now))).toEqual([true, false]);
    expect(['M24320', 'M24321', 'M24322'].map((field) => isPastBudgetField(field, now))).toEqual([true, false, false]);
    expect(isPastBudgetField('T0', now)).toBe(false);
    expect(isPastBudgetField('e', now)).toBe(false);
  });
});
