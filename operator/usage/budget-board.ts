import {
  budgetResetChannel,
  budgetsKey,
  parseRestoreQuestion,
  restoreChannel,
  type RestoreQuestion,
  toBudgetResetMessage,
} from '../../core/budget-restore.ts';
import {
  type StoredBudgets,
  toReadBudgetsCall,
  toResetCall,
  toResetWindows,
  toRestoreCall,
  toStoredBudgets,
} from '../../runtime/budget-restore.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';

/** What is known to be spent of one key. */
export interface KnownSpend {
  readonly keyId: string;
  /** window → nano-dollars */
  readonly spent: ReadonlyMap<string, number>;
  /** it is all that is known, for this epoch; undefined: nobody has asked */
  readonly answers?: string;
}

export interface ResetWish {
  readonly keyId: string;
  /** names the reset, so that it is done once however often it is tried */
  readonly asked: string;
  readonly windows: readonly string[];
}

/** Where the budgets are counted. */
export interface BudgetBoard {
  readonly connected: boolean;
  /** in the order of the question; of a Redis Cluster the master of some may be away */
  read(keyIds: readonly string[]): Promise<readonly PromiseSettledResult<StoredBudgets>[]>;
  /** keys that have spent since this was asked last although no entry tells of it, where that would be lost with this process; Redis keeps it */
  takeSpending?(): readonly string[];
  /** raises what stands to what is known; never lowers. Gives what became of each, in order */
  raise(known: readonly KnownSpend[]): Promise<readonly PromiseSettledResult<unknown>[]>;
  /** gives what was spent in the windows that it has set to 0 */
  reset(wish: ResetWish): Promise<ReadonlyMap<string, number>>;
  /** somebody wants to admit and does not know what was spent; gives a function that ends the listening */
  listen(listener: (question: RestoreQuestion) => void): () => void;
}

/** Must be made before the link is connected for the first time. */
export function makeRedisBudgetBoard(link: RedisLink): BudgetBoard {
  const listeners = new Set<(question: RestoreQuestion) => void>();
  link.subscribe(restoreChannel, (message) => {
    const question = parseRestoreQuestion(message);
    if (question !== undefined) for (const listener of listeners) listener(question);
  });
  return {
    get connected() {
      return link.connected;
    },
    async read(keyIds) {
      if (keyIds.length === 0) return [];
      const replies = await link.tryRun(keyIds.map((keyId) => toReadBudgetsCall(budgetsKey(keyId))));
      return replies.map((reply) => (reply.status === 'rejected' ? reply : { status: 'fulfilled', value: toStoredBudgets(reply.value) }));
    },
    async raise(known) {
      if (known.length === 0) return [];
      return link.tryRun(known.map(({ keyId, spent, answers }) => toRestoreCall(budgetsKey(keyId), spent, answers)));
    },
    async reset({ keyId, asked, windows }) {
      const [reply] = await link.run([toResetCall(budgetsKey(keyId), asked, windows)]);
      await link.send([['PUBLISH', budgetResetChannel, toBudgetResetMessage({ keyId, windows })]]);
      return toResetWindows(reply);
    },
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
