import { shapeOf, spanMs } from '../../core/limit.ts';
import { anyObject, parseRevocation, toRevocationField } from '../../core/revocation.ts';
import { lastToFree, toBudgetName, toBudgetStates } from './budget-answers.ts';
import type { BudgetFigures } from './budget-store.ts';
import type { Admission, AdmitAnswer, LimitWindow, WindowState } from './counters.ts';

interface Decided {
  readonly timeMs: number;
  /** the sum per window of the admission, in its order */
  readonly used: readonly number[];
  /** of each budget of the admission, in its order; absent = it has no money */
  readonly budgets?: readonly BudgetFigures[];
}

/** What a store decided, before it is put into words. */
export type Decision =
  | (Decided & {
      readonly admitted: true;
      /** positions of windows; -1 = concurrency */
      readonly shadowRefusals: readonly number[];
      /** positions of budgets in Shadow mode that would have refused */
      readonly shadowBudgets?: readonly number[];
    })
  | (Decided & {
      readonly admitted: false;
      /** position of the window; -1 = concurrency */
      readonly refusing: number;
      readonly waitMs: number;
    })
  | (Decided & {
      readonly admitted: false;
      /** positions of the budgets that are used up; money is looked at first */
      readonly exhausted: readonly number[];
    });

/** The spend of the key's budgets must be restored before anything is decided by it. */
export interface Lost {
  readonly lost: true;
  readonly timeMs: number;
}

/** The store is in another life than the admission named: it must be told of the one before. */
export interface Moved {
  readonly moved: true;
  readonly timeMs: number;
}

/** What stands in the store of the key's object and of its name (`''` = nothing) overrules the record that the admission was asked with. */
export interface Overruled {
  readonly overruled: true;
  readonly timeMs: number;
  readonly stands: readonly [ofObject: string, ofName: string];
}

/** OpenAI's SDKs ignore a longer one and come back at once. */
const longestMinuteMs = 60_000;
const longestJitterMs = 250;

export function toOverruledAnswer({ timeMs, stands }: Overruled, { keyId, bearer }: Admission): AdmitAnswer {
  if (bearer === undefined) throw new TypeError('admit.lua overruled an admission that nobody asked for');
  const [ofObject, ofName] = stands;
  const found = [
    parseRevocation(toRevocationField({ keyId, uid: bearer.uid }), ofObject),
    parseRevocation(toRevocationField({ keyId, uid: anyObject }), ofName),
  ];
  return { outcome: 'overruled', timeMs, revocations: found.filter((revocation) => revocation !== undefined) };
}

interface Circumstances {
  readonly degraded: boolean;
  /** gives [0, 1); the jitter only ever lengthens the wait */
  readonly random: () => number;
  /** what was decided by, where that is a share of the admission's limits */
  readonly share?: Admission;
}

/** The answer to the pipeline: it names the limits as they were agreed, and what remains of what was decided by. */
export function toAnswer(decision: Decision, admission: Admission, { degraded, random, share = admission }: Circumstances): AdmitAnswer {
  const { windows, concurrency } = admission;
  const states = toStates(decision, windows, share.windows);
  const { timeMs } = decision;
  const budgets = toBudgetStates(admission.money?.budgets ?? [], decision.budgets ?? [], timeMs);
  if (decision.admitted) {
    const shadowRefusals = toShadowRefusals(decision, admission);
    return { outcome: 'admitted', timeMs, windows: states, ...(budgets.length > 0 && { budgets }), shadowRefusals, degraded };
  }
  if ('exhausted' in decision) {
    const budget = lastToFree(budgets.filter((_, position) => decision.exhausted.includes(position)));
    if (budget === undefined) throw new TypeError('a store refused for a budget that the admission does not have');
    return { outcome: 'exhausted', timeMs, budget, windows: states, degraded };
  }
  const window = windows[decision.refusing];
  const refused = { outcome: 'refused', timeMs, windows: states, degraded } as const;
  if (window === undefined) {
    const retryAfterMs = 250 + Math.floor(random() * 750);
    return { ...refused, limitName: 'concurrency', unit: 'concurrency', span: 'now', limit: concurrency?.limit ?? 0, retryAfterMs };
  }
  const { name, unit, span, limit } = window;
  return { ...refused, limitName: name, unit, span, limit, retryAfterMs: toRetryAfterMs(decision.waitMs, span, random) };
}

function toShadowRefusals(
  { shadowRefusals, shadowBudgets = [] }: Extract<Decision, { admitted: true }>,
  { windows, money }: Admission,
): string[] {
  const budgets = shadowBudgets.flatMap((position) => money?.budgets[position] ?? []);
  return [...shadowRefusals.map((position) => windows[position]?.name ?? 'concurrency'), ...budgets.map(toBudgetName)];
}

/** What a window is charged: one request, or as many as are booked at once, or the estimate, capped so that an idle key can always start. */
export function amountOf(window: LimitWindow, tokens: number, requests = 1): number {
  return window.unit === 'requests' ? requests : Math.min(tokens, window.limit);
}

function toRetryAfterMs(waitMs: number, span: 'minute' | 'day', random: () => number): number {
  const jitterMs = Math.floor(random() * Math.min(waitMs * 0.02, longestJitterMs));
  return span === 'minute' ? Math.min(longestMinuteMs, waitMs + jitterMs) : waitMs + jitterMs;
}

function toStates(decision: Decision, windows: readonly LimitWindow[], shares: readonly LimitWindow[]): WindowState[] {
  return windows.map(({ name, unit, span, limit }, position) => {
    const used = decision.used[position] ?? 0;
    const remaining = Math.max(0, (shares[position]?.limit ?? limit) - used);
    return { name, unit, span, limit, remaining, resetMs: resetMs(decision, position, span) };
  });
}

/** Exact for the window that refused; else the latest moment at which what was charged just now is out, because the true one would cost a look at every bucket. */
function resetMs(decision: Decision, position: number, span: 'minute' | 'day'): number {
  if ('refusing' in decision && decision.refusing === position) return decision.waitMs;
  return (decision.used[position] ?? 0) === 0 ? 0 : spanMs(shapeOf(span));
}
