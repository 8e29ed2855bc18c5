import type { RestoreQuestion } from '../../core/budget-restore.ts';
import { isPastBudgetField } from '../../core/budget.ts';
import type { KeyUsage } from '../../core/key-usage.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { describeError } from '../describe-error.ts';
import type { BudgetBoard } from './budget-board.ts';

export interface RestoreAnswersOptions {
  readonly board: BudgetBoard;
  readonly usageOf: (keyId: string) => KeyUsage | undefined;
  /** the budgets of these keys were answered for */
  readonly onAnswered: (keyIds: readonly string[]) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Questions of so long are answered in one write: after a restart of Redis every key asks. */
const gatherMs = 5;

/** Tells whoever asks what is known to be spent, be it nothing. Questions are repeated by those who ask, so that none needs to be kept. */
export function answerRestores({ board, usageOf, onAnswered, clock, log }: RestoreAnswersOptions): { stop(): void } {
  const asked = new Map<string, string>();
  let timer: Timer | undefined;

  async function answer(): Promise<void> {
    timer = undefined;
    const known = [...asked].map(([keyId, answers]) => ({ keyId, answers, spent: toKnownSpend(usageOf(keyId), clock.now()) }));
    asked.clear();
    const results = await board.raise(known);
    const told = known.filter((_, position) => results[position]?.status === 'fulfilled').map(({ keyId }) => keyId);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined)
      log.warn(
        { error: describeError(failed.reason), keys: known.length - told.length },
        'a question about spent budgets could not be answered',
      );
    if (told.length === 0) return;
    log.info({ event: 'budgets_restored', keys: told.length }, 'what was spent was told to a Redis that did not know it');
    onAnswered(told);
  }

  const end = board.listen(({ keyId, epoch }: RestoreQuestion) => {
    asked.set(keyId, epoch);
    timer ??= clock.after(gatherMs, () => void answer());
  });
  return {
    stop() {
      end();
      timer?.cancel();
    },
  };
}

/** Window → nano-dollars, of the windows in which something may still be settled. */
export function toKnownSpend(usage: KeyUsage | undefined, nowMs: number): ReadonlyMap<string, number> {
  return new Map(Object.entries(usage?.spent ?? {}).filter(([window, spent]) => spent > 0 && !isPastBudgetField(window, nowMs)));
}
