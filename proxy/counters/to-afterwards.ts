import type { Afterwards } from './scripts/afterwards.ts';
import type { Admission, Settlement } from './counters.ts';

/** Gives an admission back that nobody knows the answer of. */
export function toRelease(admission: Admission): Afterwards {
  const { requestId, keyId, windows, concurrency, money, lease } = admission;
  if (lease !== undefined) return { what: 'end', admission, unspentRequests: lease.requests };
  const settlement = { requestId, keyId, windows, tokens: 0, concurrency: concurrency !== undefined, refundRequest: true };
  const spent = money && { budgets: money.budgets, costNanoUsd: 0 };
  return { what: 'settle', settlement: { ...settlement, ...(spent && { money: spent }) } };
}

/** undefined: the store has nothing to settle */
export function toSettled(settlement: Settlement): Afterwards | undefined {
  const { keyId, windows, concurrency, money, event } = settlement;
  if (windows.length > 0 || concurrency || money !== undefined) return { what: 'settle', settlement };
  return event && { what: 'event', keyId, event };
}
