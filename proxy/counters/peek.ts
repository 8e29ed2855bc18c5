import { toBudgetStates } from './budget-answers.ts';
import type { BudgetFigures } from './budget-store.ts';
import type { LimitWindow, PeekAnswer, PeekQuestion } from './counters.ts';

/** What a store says to a question, in its order. */
export interface Reading {
  readonly timeMs: number;
  readonly inFlight: number;
  readonly windows: readonly { readonly used: number; readonly emptyInMs: number }[];
  readonly budgets: readonly BudgetFigures[];
}

interface Circumstances {
  readonly degraded: boolean;
  /** the windows that counted, where they are a share of those that were asked for */
  readonly shares?: readonly LimitWindow[];
}

/** The answer to whoever asked: limits as they were agreed, and what remains of what counts at this moment. */
export function toPeekAnswer(
  reading: Reading,
  { windows, budgets = [] }: PeekQuestion,
  { degraded, shares = windows }: Circumstances,
): PeekAnswer {
  const { timeMs, inFlight } = reading;
  const states = windows.map(({ name, unit, span, limit }, position) => {
    const { used = 0, emptyInMs = 0 } = reading.windows[position] ?? {};
    return { name, unit, span, limit, used, remaining: Math.max(0, (shares[position]?.limit ?? limit) - used), resetMs: emptyInMs };
  });
  return { outcome: 'known', timeMs, windows: states, inFlight, budgets: toBudgetStates(budgets, reading.budgets, timeMs), degraded };
}
