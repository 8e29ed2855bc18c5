import { budgetWindowId, toBudgetField } from '../../core/budget.ts';
import { type KeyUsage, resetSpent } from '../../core/key-usage.ts';
import { formatNanoUsd } from '../../core/money.ts';
import type { VirtualKey, VirtualKeyBudget } from '../../core/resources.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { describeError } from '../describe-error.ts';
import { type Notice, toNotice, toWarning } from '../translate/problem.ts';
import type { BudgetBoard } from './budget-board.ts';

const resetAnnotation = 'keywright.dev/reset-budget';

type Period = VirtualKeyBudget['period'];
const periods: readonly Period[] = ['Daily', 'Weekly', 'Monthly', 'Total'];

export type ParsedReset = { readonly ok: true; readonly periods: readonly Period[] } | { readonly ok: false; readonly message: string };

/** `<token>[;period=<period>]`: any new token resets once, all periods unless one is named. */
function parseReset(value: string): ParsedReset {
  const [token = '', ...options] = value.split(';').map((part) => part.trim());
  if (token === '' || value.length > 256) return refuse('must begin with a token of your choice and have at most 256 characters');
  const [option, ...more] = options;
  if (option === undefined) return { ok: true, periods };
  const period = periods.find((each) => option === `period=${each}`);
  if (period === undefined || more.length > 0) return refuse(`may have one option, period= with one of ${periods.join(', ')}`);
  return { ok: true, periods: [period] };
}

function refuse(message: string): ParsedReset {
  return { ok: false, message: `the annotation ${resetAnnotation} ${message}: nothing is reset` };
}

export interface BudgetResetsOptions {
  readonly board: BudgetBoard;
  readonly virtualKeys: () => Iterable<VirtualKey>;
  readonly usageOf: (keyId: string) => KeyUsage | undefined;
  readonly change: (keyId: string, change: (known: KeyUsage) => KeyUsage) => void;
  readonly tell: (virtualKey: VirtualKey, notice: Notice) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Resets of budgets that were asked for by annotation. What was acted on stands in the checkpoint; the store knows which reset it did last, so that one that is repeated takes nothing back twice. */
export class BudgetResets {
  readonly #options: BudgetResetsOptions;
  /** key id → a value that was found to be wrong, of which was told */
  readonly #refused = new Map<string, string>();

  constructor(options: BudgetResetsOptions) {
    this.#options = options;
  }

  async round(): Promise<void> {
    const { virtualKeys, usageOf } = this.#options;
    for (const virtualKey of virtualKeys()) {
      const { annotations, namespace = '', name, deletionTimestamp } = virtualKey.metadata;
      const asked = annotations?.[resetAnnotation];
      if (asked === undefined || deletionTimestamp !== undefined) continue;
      const keyId = `${namespace}/${name}`;
      if (usageOf(keyId)?.reset?.asked !== asked) await this.#attempt(keyId, virtualKey, asked);
    }
  }

  /** Each key by itself: of a Redis Cluster the master of one may be away, and the others' need not wait for it. */
  async #attempt(keyId: string, virtualKey: VirtualKey, asked: string): Promise<void> {
    try {
      await this.#reset(keyId, virtualKey, asked);
    } catch (error) {
      this.#options.log.warn({ key: keyId, error: describeError(error) }, 'a budget could not be reset; it is tried again');
    }
  }

  async #reset(keyId: string, virtualKey: VirtualKey, asked: string): Promise<void> {
    const { board, change, tell, clock, log } = this.#options;
    const parsed = parseReset(asked);
    if (!parsed.ok) {
      if (this.#refused.get(keyId) === asked) return;
      this.#refused.set(keyId, asked);
      tell(virtualKey, toWarning('ResetAnnotationInvalid', parsed.message));
      log.warn(
        { event: 'reset_annotation_invalid', key: keyId, asked, reason: parsed.message },
        'a budget is not reset by this annotation',
      );
      return;
    }
    if (!board.connected) return;
    const atMs = clock.now();
    const windows = parsed.periods.map((period) => toBudgetField(period, budgetWindowId(period, atMs)));
    const before = await board.reset({ keyId, asked, windows });
    change(keyId, (known) => resetSpent(known, windows, { asked, atMs }));
    const spent = Object.fromEntries([...before].map(([window, nanoUsd]) => [window, formatNanoUsd(nanoUsd)]));
    log.warn({ audit: true, type: 'BudgetReset', key: keyId, actor: null, source: 'watch', asked, spent }, 'budgets were reset');
    tell(virtualKey, toNotice('BudgetReset', `reset by annotation: ${toText(spent)}`));
  }
}

function toText(spent: Readonly<Record<string, string>>): string {
  const parts = Object.entries(spent).map(([window, usd]) => `${usd} USD (${window})`);
  return parts.length === 0 ? 'nothing was spent' : `${parts.join(', ')} are spent no more`;
}
