import { budgetWindowId, toBudgetField } from '../../../core/budget.ts';
import { budgetsKey } from '../../../core/budget-restore.ts';
import { tagOf } from '../../../core/hash-tag.ts';
import { shapeOf } from '../../../core/limit.ts';
import { slotsKey, windowKey } from '../../../core/limit-keys.ts';
import type { RedisScriptCall } from '../../../runtime/redis-script.ts';
import { type StoredBudgets, toReadBudgetsCall, toStoredBudgets } from '../../../runtime/budget-restore.ts';
import type { BudgetFigures } from '../budget-store.ts';
import type { PeekQuestion } from '../counters.ts';
import type { Reading } from '../peek.ts';
import { lifeKey } from '../store/store-lives.ts';
import { toEpochText } from './budget-scripts.ts';
import { loadScript } from './lua-text.ts';
import type { ScriptStore } from './script-store.ts';

const peekScript = loadScript('peek');

interface Terms {
  /** takes the place of Redis' clock, for tests; '' in production */
  readonly clock: string;
  /** of the store, as this process knows it; '' = in any */
  readonly life: string;
}

/** What the store says that a key has used; or that it has lost what was spent, or everything: then it says nothing of what was used before. */
export async function readPeek(
  store: Pick<ScriptStore, 'run' | 'epochOf'>,
  question: PeekQuestion,
  terms: Terms,
): Promise<Reading | 'lost' | 'moved'> {
  const { keyId, budgets = [] } = question;
  const [reply, stored] = await Promise.all([
    store.run(toPeekCall(question, terms)),
    budgets.length > 0 ? store.run(toReadBudgetsCall(budgetsKey(keyId))) : undefined,
  ]);
  const reading = toReading(reply);
  if (reading === undefined) return 'moved';
  const known = stored === undefined ? undefined : toStoredBudgets(stored);
  if (known !== undefined && known.epoch !== toEpochText(store.epochOf(tagOf(keyId)))) return 'lost';
  return { ...reading, budgets: known === undefined ? [] : toFigures(question, known, reading.timeMs) };
}

function toPeekCall({ keyId, windows }: PeekQuestion, { clock, life }: Terms): RedisScriptCall {
  const keys = [slotsKey(keyId), ...windows.map((window) => windowKey(keyId, window)), lifeKey(tagOf(keyId))];
  const shapes = windows.flatMap(({ span }) => {
    const { widthMs, k } = shapeOf(span);
    return [String(widthMs), String(k)];
  });
  return { script: peekScript, keyCount: keys.length, parameters: [...keys, clock, ...shapes, life] };
}

/** Reads peek.lua's answer; undefined: the store is in another life. A shape that it does not give is a bug and throws. */
function toReading(reply: unknown): Omit<Reading, 'budgets'> | undefined {
  if (!Array.isArray(reply)) throw new TypeError('peek.lua gave no array');
  if (reply.length === 1) return undefined;
  const [timeMs, inFlight, ...rest] = reply as number[];
  const windows = Array.from({ length: rest.length / 2 }, (_, index) => ({
    used: rest[index * 2] ?? 0,
    emptyInMs: rest[index * 2 + 1] ?? 0,
  }));
  return { timeMs: timeMs ?? 0, inFlight: inFlight ?? 0, windows };
}

/** What stands in the windows of a moment. */
function toFigures({ budgets = [] }: PeekQuestion, { windows }: StoredBudgets, timeMs: number): BudgetFigures[] {
  return budgets.map(({ period }) => {
    const windowId = budgetWindowId(period, timeMs);
    const stands = windows.find(({ window }) => window === toBudgetField(period, windowId));
    return { windowId, spentNanoUsd: stands?.spentNanoUsd ?? 0, reservedNanoUsd: stands?.reservedNanoUsd ?? 0 };
  });
}
