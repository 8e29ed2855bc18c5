import { isPastBudgetField } from '../../../core/budget.ts';
import type { BudgetReset } from '../../../core/budget-restore.ts';

/** What this process has seen of the spend of budgets, in case the store loses it. */
export interface SeenSpend {
  note(keyId: string, field: string, told: Told): void;
  /** of the windows that still count: field → integer nano-dollars */
  of(keyId: string): ReadonlyMap<string, number>;
  /**
   * Of keys for which an epoch is given: what was seen in lives of the store before that one. Given once for each epoch: whoever takes it tells it until it has arrived.
   */
  takeFormer(epochOf: (keyId: string) => string | undefined): ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** what was seen before a reset does not count any more */
  forget(reset: BudgetReset): void;
  readonly size: number;
}

interface Told {
  readonly spentNanoUsd: number;
  /** the life of the store in which the budget was opened that says so; '' = in none yet */
  readonly epoch: string;
}

interface Seen {
  readonly spentNanoUsd: number;
  readonly atMs: number;
  readonly epoch: string;
  /** the most of lives before, not told to this one */
  former: number;
  /** the life that was told of it */
  toldEpoch: string;
}

/** Keys seen longest ago are forgotten first: the operator's checkpoint has them. */
const mostKeys = 50_000;
/** The highest counts, because answers of two connections overtake each other; one that nothing has confirmed for so long was taken back (a request that cost less, a reset). */
const highestForMs = 5_000;

export function makeSeenSpend({ now, most = mostKeys }: { now: () => number; most?: number }): SeenSpend {
  /** the one used last is last */
  const keys = new Map<string, Map<string, Seen>>();
  return {
    note(keyId, field, told) {
      const fields = keys.get(keyId) ?? new Map<string, Seen>();
      keys.delete(keyId);
      keys.set(keyId, fields);
      const seen = fields.get(field);
      const nowMs = now();
      if (seen === undefined) for (const known of fields.keys()) if (isPastBudgetField(known, nowMs)) fields.delete(known);
      fields.set(field, seen === undefined ? { ...told, atMs: nowMs, former: 0, toldEpoch: '' } : toNext(seen, told, nowMs));
      const [oldest] = keys.keys();
      if (keys.size > most && oldest !== undefined) keys.delete(oldest);
    },
    of(keyId) {
      const nowMs = now();
      const live = [...(keys.get(keyId) ?? [])].filter(([field]) => !isPastBudgetField(field, nowMs));
      return new Map(live.map(([field, { spentNanoUsd, former }]) => [field, Math.max(spentNanoUsd, former)]));
    },
    takeFormer(epochOf) {
      const nowMs = now();
      const taken = new Map<string, ReadonlyMap<string, number>>();
      for (const [keyId, fields] of keys) {
        const epoch = epochOf(keyId);
        if (epoch === undefined) continue;
        const former = [...fields].flatMap(([field, seen]) => {
          const spent = isPastBudgetField(field, nowMs) ? 0 : takeFormerOf(seen, epoch);
          return spent > 0 ? [[field, spent] as const] : [];
        });
        if (former.length > 0) taken.set(keyId, new Map(former));
      }
      return taken;
    },
    forget({ keyId, windows }) {
      for (const field of windows) keys.get(keyId)?.delete(field);
    },
    get size() {
      return keys.size;
    },
  };
}

function toNext(seen: Seen, { spentNanoUsd, epoch }: Told, nowMs: number): Seen {
  // what stands in a budget that is not opened is not what was spent
  if (epoch === '') return seen;
  if (epoch === seen.epoch) {
    const isNews = spentNanoUsd >= seen.spentNanoUsd || nowMs - seen.atMs > highestForMs;
    return isNews ? { ...seen, spentNanoUsd, atMs: nowMs } : seen;
  }
  const isTold = seen.epoch === '' || seen.toldEpoch === epoch;
  return { ...seen, spentNanoUsd, epoch, atMs: nowMs, former: isTold ? 0 : Math.max(seen.former, seen.spentNanoUsd) };
}

/** What of it this life has not been told. */
function takeFormerOf(seen: Seen, epoch: string): number {
  const isOfNow = seen.epoch === '' || seen.epoch === epoch;
  const former = isOfNow ? seen.former : Math.max(seen.former, seen.spentNanoUsd);
  if (seen.toldEpoch === epoch) return 0;
  seen.toldEpoch = epoch;
  if (isOfNow) seen.former = 0;
  return former;
}
