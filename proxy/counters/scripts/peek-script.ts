import { shapeOf } from '../../../core/limit.ts';
import type { RedisScriptCall } from '../../../runtime/redis-script.ts';
import { budgetWindowId, toBudgetField } from '../../../core/budget.ts';
import { budgetsKey } from '../../../core/budget-restore.ts';
import { type StoredBudgets, toReadBudgetsCall, toStoredBudgets } from '../../../runtime/budget-restore.ts';
import type { BudgetFigures } from '../budget-store.ts';
import type { PeekQuestion } from '../counters.ts';
import type { Reading } from '../peek.ts';
import { loadScript } from './lua-text.ts';
import type { ScriptStore } from './script-store.ts';
import { slotsKey, windowKey } from './scripts.ts';

const peekScript = loadScript('peek');

/** What the store says that a key has used. @param clock takes the place of Redis' clock, for tests; '' in production */
export async function readPeek(store: Pick<ScriptStore, 'run'>, question: PeekQuestion, clock: string): Promise<Reading> {
  const budgets = question.budgets?.length ? store.run(toPeekBudgetsCall(question)) : ['', ''];
  const [reading, stored] = await Promise.all([store.run(toPeekCall(question, clock)), budgets]);
  const { timeMs, ...rest } = toReading(reading);
  return { timeMs, ...rest, budgets: toFigures(question, toStoredBudgets(stored), timeMs) };
}

function toPeekCall({ keyId, windows }: PeekQuestion, clock: string): RedisScriptCall {
  const keys = [slotsKey(keyId), ...windows.map((window) => windowKey(keyId, window))];
  const shapes = windows.flatMap(({ span }) => {
    const { widthMs, k } = shapeOf(span);
    return [String(widthMs), String(k)];
  });
  return { script: peekScript, keyCount: keys.length, parameters: [...keys, clock, ...shapes] };
}

/** Reads peek.lua's answer. A shape that it does not give is a bug and throws. */
function toReading(reply: unknown): Omit<Reading, 'budgets'> {
  if (!Array.isArray(reply)) throw new TypeError('peek.lua gave no array');
  const [timeMs, inFlight, ...rest] = reply as number[];
  const windows = Array.from({ length: rest.length / 2 }, (_, index) => ({
    used: rest[index * 2] ?? 0,
    emptyInMs: rest[index * 2 + 1] ?? 0,
  }));
  return { timeMs: timeMs ?? 0, inFlight: inFlight ?? 0, windows };
}

function toPeekBudgetsCall({ keyId }: PeekQuestion): RedisScriptCall {
  return toReadBudgetsCall(budgetsKey(keyId));
}

/** What stands in the windows of a moment. */
function toFigures({ budgets = [] }: PeekQuestion, { windows }: StoredBudgets, timeMs: number): BudgetFigures[] {
  return budgets.map(({ period }) => {
    const windowId = budgetWindowId(period, timeMs);
    const stands = windows.find(({ window }) => window === toBudgetField(period, windowId));
    return { windowId, spentNanoUsd: stands?.spentNanoUsd ?? 0, reservedNanoUsd: stands?.reservedNanoUsd ?? 0 };
  });
}
