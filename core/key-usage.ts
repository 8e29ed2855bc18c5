import { isPastBudgetField } from './budget.ts';
import type { UsageEvent } from './usage-event.ts';

/** A budget that was reset by hand. */
export interface HandledReset {
  /** the annotation's value that asked for it */
  readonly asked: string;
  /** milliseconds since 1970 */
  readonly atMs: number;
}

/** What one key has used since it was first seen. Integers; records are replaced, never changed. */
export interface KeyUsage {
  /** `namespace/name` */
  readonly id: string;
  readonly requests: number;
  /** answered with a status from 400 on; a client that hung up (499) is no error */
  readonly errors: number;
  /** cached input inside */
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  /** reasoning inside */
  readonly outputTokens: number;
  readonly costNanoUsd: number;
  /** milliseconds since 1970; 0 = never */
  readonly lastUsedMs: number;
  /** window (`D20419`, `W…`, `M…`, `T0`) → the most that was known to be spent in it, nano-dollars */
  readonly spent: Readonly<Record<string, number>>;
  /** window → the highest share of its budget, in percent, of which was told */
  readonly warned: Readonly<Record<string, number>>;
  readonly reset?: HandledReset;
}

export function emptyKeyUsage(id: string): KeyUsage {
  return {
    id,
    requests: 0,
    errors: 0,
    inputTokens: 0,
    cachedInputTokens: 0,
    outputTokens: 0,
    costNanoUsd: 0,
    lastUsedMs: 0,
    spent: {},
    warned: {},
  };
}

const hungUp = 499;

/** `atMs`: when the request was settled, by the store's clock. */
export function countEvent(known: KeyUsage, { status, usage, costNanoUsd = 0 }: UsageEvent, atMs: number): KeyUsage {
  const isError = status >= 400 && status !== hungUp;
  return {
    ...known,
    requests: add(known.requests, 1),
    errors: add(known.errors, isError ? 1 : 0),
    inputTokens: add(known.inputTokens, usage.inputTokens),
    cachedInputTokens: add(known.cachedInputTokens, usage.cachedInputTokens),
    outputTokens: add(known.outputTokens, usage.outputTokens),
    costNanoUsd: add(known.costNanoUsd, costNanoUsd),
    lastUsedMs: Math.max(known.lastUsedMs, atMs),
  };
}

/** What was read of the budgets, by a store that has had all that we know: it counts, also where it is less (what a request was charged in advance and did not use goes back). */
export function takeSpent(known: KeyUsage, read: ReadonlyMap<string, number>): KeyUsage {
  const changed = [...read].filter(([window, spent]) => spent !== (known.spent[window] ?? 0));
  return changed.length === 0 ? known : { ...known, spent: { ...known.spent, ...Object.fromEntries(changed) } };
}

/** What was read of the budgets, by a store that may have lost some. */
export function raiseSpent(known: KeyUsage, read: ReadonlyMap<string, number>): KeyUsage {
  const raised = [...read].filter(([window, spent]) => spent > (known.spent[window] ?? 0));
  return raised.length === 0 ? known : { ...known, spent: { ...known.spent, ...Object.fromEntries(raised) } };
}

/** Nothing was spent in these windows, and nothing was told of them. */
export function resetSpent(known: KeyUsage, windows: readonly string[], reset: HandledReset): KeyUsage {
  const keep = ([window]: readonly [string, number]): boolean => !windows.includes(window);
  return { ...known, spent: filterEntries(known.spent, keep), warned: filterEntries(known.warned, keep), reset };
}

/** Without the windows that nobody settles into any more. */
export function dropPastWindows(known: KeyUsage, nowMs: number): KeyUsage {
  const keep = ([window]: readonly [string, number]): boolean => !isPastBudgetField(window, nowMs);
  const spent = filterEntries(known.spent, keep);
  const warned = filterEntries(known.warned, keep);
  return spent === known.spent && warned === known.warned ? known : { ...known, spent, warned };
}

/**
 * Two accounts of one key. Both counted the same entries in the same order, so the one that has come further has all that the other has; of spend the more counts, unless one
 * knows of a later reset.
 */
export function mergeKeyUsage(further: KeyUsage, other: KeyUsage): KeyUsage {
  const later = resetMsOf(further) - resetMsOf(other);
  if (later > 0) return further;
  if (later < 0) return { ...further, spent: other.spent, warned: other.warned, ...(other.reset !== undefined && { reset: other.reset }) };
  return { ...further, spent: toHighest(further.spent, other.spent), warned: toHighest(further.warned, other.warned) };
}

function resetMsOf({ reset }: KeyUsage): number {
  return reset?.atMs ?? 0;
}

function toHighest(left: Readonly<Record<string, number>>, right: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const windows = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  return Object.fromEntries(windows.map((window) => [window, Math.max(left[window] ?? 0, right[window] ?? 0)]));
}

function filterEntries(
  record: Readonly<Record<string, number>>,
  keep: (entry: readonly [string, number]) => boolean,
): Readonly<Record<string, number>> {
  const entries = Object.entries(record);
  const kept = entries.filter(keep);
  return kept.length === entries.length ? record : Object.fromEntries(kept);
}

/** Sums stay integers that a double holds. */
function add(left: number, right: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, left + right);
}
