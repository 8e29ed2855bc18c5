import { amountOf } from '../answers.ts';
import type { Admission, AdmitAnswer, BudgetState, Settlement, WindowState } from '../counters.ts';

/** Which limits and budgets of which keys were nearly used up when the store last told of them. */
export interface NearLimits {
  noted(admission: Admission, answer: AdmitAnswer): void;
  /** what it gives back may be what the next request is refused for */
  isAwaited(settlement: Settlement): boolean;
}

/** No room for as much again, twice: a client's next request may be larger than the one before. */
const nearAt = 2;
const mostKeys = 10_000;

/**
 * A client that sends one request after the other may reach another proxy with the next one. Far from its limits it does not matter that what its former request had reserved is given
 * back in a batch, up to 50 ms later; near them that proxy would refuse it for its own reservation. So what ends there is told at once.
 */
export function makeNearLimits(): NearLimits {
  /** names of windows, periods of budgets; the key that was noted last is last */
  const keys = new Map<string, Set<string>>();

  return {
    noted(admission, answer) {
      const near = keys.get(admission.keyId) ?? new Set<string>();
      for (const [name, isNear] of toStates(admission, answer)) {
        if (isNear) near.add(name);
        else near.delete(name);
      }
      keys.delete(admission.keyId);
      if (near.size === 0) return;
      keys.set(admission.keyId, near);
      const [oldest] = keys.keys();
      if (keys.size > mostKeys && oldest !== undefined) keys.delete(oldest);
    },
    isAwaited({ keyId, windows, refundRequest, money }) {
      const near = keys.get(keyId);
      if (near === undefined) return false;
      // a request that was sent stays counted
      const given = windows.filter(({ unit }) => unit === 'tokens' || refundRequest).map(({ name }) => name);
      return [...given, ...(money?.budgets ?? []).map(({ period }) => period)].some((name) => near.has(name));
    },
  };
}

function toStates(admission: Admission, answer: AdmitAnswer): (readonly [name: string, isNear: boolean])[] {
  if (answer.outcome === 'unavailable' || answer.outcome === 'overruled') return [];
  const { windows, tokens, money } = admission;
  const told = answer.windows.map(({ name, remaining }: WindowState, position) => {
    const window = windows[position];
    return [name, window !== undefined && !window.shadow && remaining < nearAt * amountOf(window, tokens)] as const;
  });
  const isShort = ({ limitNanoUsd, spentNanoUsd, reservedNanoUsd }: BudgetState): boolean =>
    limitNanoUsd - spentNanoUsd - reservedNanoUsd < nearAt * (money?.boundNanoUsd ?? 0);
  if (answer.outcome === 'exhausted') return [...told, [answer.budget.period, true]];
  const budgets = answer.outcome === 'admitted' ? (answer.budgets ?? []) : [];
  return [...told, ...budgets.map((budget) => [budget.period, isShort(budget)] as const)];
}
