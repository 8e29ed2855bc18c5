import { expect, it } from 'vitest';
import { makeBudgetShare } from './budget-share.ts';
import type { Admission, BudgetLimit } from '../counters.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const daily: BudgetLimit = { period: 'Daily', limitNanoUsd: 1_000, shadow: false };

let nextRequest = 0;
function request(boundNanoUsd: number, budgets: readonly BudgetLimit[] = [daily]): Admission {
  nextRequest += 1;
  return {
    requestId: `request-${nextRequest}`,
    keyId: 'team-a/app',
    bearer: { uid: 'one', gen: 1, credentialId: 'aaaaaaaaaaaa' },
    windows: [],
    tokens: 0,
    money: { budgets, boundNanoUsd, floorNanoUsd: 1 },
    holdMs: 30_000,
  };
}

/** Three proxies; the store said that 400 are spent and 300 reserved, so 100 are for each. */
function start(): ReturnType<typeof makeBudgetShare> {
  const share = makeBudgetShare({ replicas: () => 3 });
  share.heard(
    'team-a/app',
    [{ period: 'Daily', window: '2026-11-22', limitNanoUsd: 1_000, spentNanoUsd: 400, reservedNanoUsd: 300 }],
    nowMs,
  );
  return share;
}

function spend(share: ReturnType<typeof makeBudgetShare>, boundNanoUsd: number, atMs = nowMs): string {
  const admission = request(boundNanoUsd);
  const lacking = share.check(admission, atMs);
  if (lacking === undefined) share.commit(admission, atMs);
  return lacking?.outcome ?? 'fits';
}

it('gives each proxy its part of what was left, and no more in all', () => {
  const share = start();
  expect(spend(share, 60)).toBe('fits');
  expect(spend(share, 60)).toBe('unavailable');
  expect(spend(share, 40)).toBe('fits');
  expect(spend(share, 1)).toBe('unavailable');
});

it('says exhausted only of what the store itself would refuse', () => {
  const share = start();
  expect(share.check(request(601), nowMs)).toMatchObject({
    outcome: 'exhausted',
    budget: { window: '2026-11-22', resetMs: 12 * 3_600_000 },
  });
  expect(share.check(request(600), nowMs)).toEqual({ outcome: 'unavailable' });
});

it('gives nothing of a budget that it has heard nothing of, which is no refusal of the budget', () => {
  const share = makeBudgetShare({ replicas: () => 1 });
  expect(share.check(request(1), nowMs)).toEqual({ outcome: 'unavailable' });
  expect(start().check(request(1, [daily, { ...daily, period: 'Monthly' }]), nowMs)).toEqual({ outcome: 'unavailable' });
});

it('gives a shadow budget no say, and a key without budgets neither', () => {
  const share = start();
  const { money: _, ...withoutMoney } = request(1);
  expect(share.check(request(5_000, [{ ...daily, shadow: true }]), nowMs)).toBeUndefined();
  expect(share.check(withoutMoney, nowMs)).toBeUndefined();
});

it('replaces the bound by the cost when a request ends, once', () => {
  const share = start();
  const admission = request(100);
  expect(share.check(admission, nowMs)).toBeUndefined();
  share.commit(admission, nowMs);
  const settlement = { ...admission, concurrency: false, refundRequest: false, money: { budgets: [daily], costNanoUsd: 30 } };
  share.settle(settlement);
  share.settle(settlement);
  expect(spend(share, 71)).toBe('unavailable');
  expect(spend(share, 70)).toBe('fits');
});

it('begins a new window with its part of the whole budget', () => {
  const share = start();
  expect(spend(share, 100)).toBe('fits');
  const tomorrowMs = nowMs + 12 * 3_600_000;
  expect(spend(share, 333, tomorrowMs)).toBe('fits');
  expect(spend(share, 1, tomorrowMs)).toBe('unavailable');
});

it('goes by what the store says again when it is back', () => {
  const share = start();
  expect(spend(share, 100)).toBe('fits');
  share.heard('team-a/app', [{ period: 'Daily', window: '2026-11-22', limitNanoUsd: 1_000, spentNanoUsd: 700, reservedNanoUsd: 0 }], nowMs);
  expect(spend(share, 100)).toBe('fits');
  expect(spend(share, 1)).toBe('unavailable');
});
