import { setTimeout as sleep } from 'node:timers/promises';
import { budgetsKey } from '../../../core/budget-restore.ts';
import { tagOf } from '../../../core/hash-tag.ts';
import { toRestoreCall } from '../../../runtime/budget-restore.ts';
import type { RedisScriptCall } from '../../../runtime/redis-script.ts';
import { toOpenBudgetsCall, toRestoreStateCall } from '../scripts/budget-scripts.ts';

/** What becomes of a budget whose spend was lost when the operator does not answer: it opens with what the proxies know, or stays closed. */
export type BudgetRestore = 'Open' | 'Closed';

/** `answered`, `unanswered`: admissions are decided again; `kept`: somebody else has brought it back; `closed`: nobody knows what was spent; `failed`: the store went away meanwhile */
export type RestoreOutcome = 'answered' | 'kept' | 'unanswered' | 'closed' | 'failed';

export interface RestoreTimes {
  /** without an answer of the operator */
  readonly giveUpMs: number;
  /** after the operator's answer, for what other proxies know */
  readonly listenMs: number;
  readonly askEveryMs: number;
  readonly pollMs: number;
}

const restoreTimes: RestoreTimes = { giveUpMs: 2_000, listenMs: 50, askEveryMs: 250, pollMs: 25 };

interface Options {
  readonly run: (call: RedisScriptCall) => Promise<unknown>;
  readonly epochOf: (tag: string) => string;
  /** what this process has seen */
  readonly spendOf: (keyId: string) => ReadonlyMap<string, number>;
  readonly policy: BudgetRestore;
  readonly monotonicNow: () => number;
  readonly onEnd: (outcome: RestoreOutcome) => void;
  readonly times?: RestoreTimes;
}

/**
 * Brings back the spend of a key that the store has lost (core/budget-restore.ts); whoever waits for the same key waits for the same restoring. An admission waits for that instead of
 * being refused: a budget that is only not known is not used up.
 */
export function makeBudgetRestorer({ run, epochOf, spendOf, policy, monotonicNow, onEnd, times = restoreTimes }: Options): {
  restore(keyId: string): Promise<RestoreOutcome>;
} {
  const under = new Map<string, Promise<RestoreOutcome>>();

  const open = async (keyId: string, epoch: string, outcome: RestoreOutcome): Promise<RestoreOutcome> => {
    await run(toOpenBudgetsCall(keyId, epoch));
    return outcome;
  };
  const bringBack = async (keyId: string): Promise<RestoreOutcome> => {
    const epoch = epochOf(tagOf(keyId));
    const startedMs = monotonicNow();
    let askedMs = Number.NEGATIVE_INFINITY;
    let answeredMs: number | undefined;
    await run(toRestoreCall(budgetsKey(keyId), spendOf(keyId)));
    for (;;) {
      const nowMs = monotonicNow();
      const asks = answeredMs === undefined && nowMs - askedMs >= times.askEveryMs;
      if (asks) askedMs = nowMs;
      const state = await run(toRestoreStateCall(keyId, epoch, asks));
      if (state === 2) return 'kept';
      if (state === 1) answeredMs ??= nowMs;
      if (answeredMs !== undefined && nowMs - answeredMs >= times.listenMs) return open(keyId, epoch, 'answered');
      if (answeredMs === undefined && nowMs - startedMs >= times.giveUpMs) {
        return policy === 'Open' ? open(keyId, epoch, 'unanswered') : 'closed';
      }
      await sleep(times.pollMs);
    }
  };
  /** A store that hangs holds no request longer than one that nobody answers. */
  const within = async (restoring: Promise<RestoreOutcome>): Promise<RestoreOutcome> => {
    const late = new AbortController();
    const tooLate = sleep(times.giveUpMs + 500, 'failed' as const, { signal: late.signal }).catch(() => 'failed' as const);
    const outcome = await Promise.race([restoring.catch(() => 'failed' as const), tooLate]);
    late.abort();
    return outcome;
  };
  return {
    restore(keyId) {
      const running = under.get(keyId);
      if (running !== undefined) return running;
      const restoring = within(bringBack(keyId)).then((outcome) => {
        under.delete(keyId);
        onEnd(outcome);
        return outcome;
      });
      under.set(keyId, restoring);
      return restoring;
    },
  };
}
