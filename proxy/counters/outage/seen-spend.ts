import { isPastBudgetField } from '../../../core/budget.ts';
import type { BudgetReset } from '../../../core/budget-restore.ts';

/** What this process has seen of the spend of budgets, in case the store loses it. */
export interface SeenSpend {
  note(keyId: string, field: string, spentNanoUsd: number): void;
  /** of the windows that still count: field → integer nano-dollars */
  of(keyId: string): ReadonlyMap<string, number>;
  /** what was seen before a reset does not count any more */
  forget(reset: BudgetReset): void;
  readonly size: number;
}

interface Seen {
  spentNanoUsd: number;
  atMs: number;
}

/** Keys seen longest ago are forgotten first: the operator's checkpoint has them. */
const mostKeys = 50_000;
/** The highest counts, because answers of two connections overtake each other; one that nothing has confirmed for so long was taken back (a request that cost less, a reset). */
const highestForMs = 5_000;

export function makeSeenSpend({ now, most = mostKeys }: { now: () => number; most?: number }): SeenSpend {
  /** the one used last is last */
  const keys = new Map<string, Map<string, Seen>>();
  return {
    note(keyId, field, spentNanoUsd) {
      const fields = keys.get(keyId) ?? new Map<string, Seen>();
      keys.delete(keyId);
      keys.set(keyId, fields);
      const seen = fields.get(field);
      const nowMs = now();
      if (seen === undefined) {
        for (const known of fields.keys()) if (isPastBudgetField(known, nowMs)) fields.delete(known);
        fields.set(field, { spentNanoUsd, atMs: nowMs });
      } else if (spentNanoUsd >= seen.spentNanoUsd || nowMs - seen.atMs > highestForMs) {
        seen.spentNanoUsd = spentNanoUsd;
        seen.atMs = nowMs;
      }
      const [oldest] = keys.keys();
      if (keys.size > most && oldest !== undefined) keys.delete(oldest);
    },
    of(keyId) {
      const nowMs = now();
      const live = [...(keys.get(keyId) ?? [])].filter(([field]) => !isPastBudgetField(field, nowMs));
      return new Map(live.map(([field, { spentNanoUsd }]) => [field, spentNanoUsd]));
    },
    forget({ keyId, windows }) {
      for (const field of windows) keys.get(keyId)?.delete(field);
    },
    get size() {
      return keys.size;
    },
  };
}
