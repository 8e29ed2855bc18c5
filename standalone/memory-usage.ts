import { tagOf } from '../core/hash-tag.ts';
import type { UsageEvent } from '../core/usage-event.ts';
import { compareStreamIds, firstStreamId } from '../core/usage-stream.ts';
import type { LimitQuestion, LimitReading } from '../operator/usage/limit-board.ts';
import type { UsageFeed } from '../operator/usage/usage-keeper.ts';
import type { UsageEntry } from '../operator/usage/usage-source.ts';
import type { MemoryCounters } from '../proxy/counters/memory.ts';

export interface MemoryUsage {
  /** what the counters tell */
  take(event: UsageEvent): void;
  /** a request of this key that is still running was charged what has flowed so far */
  noteSpending(keyId: string): void;
  toFeed(counters: Pick<MemoryCounters, 'peek' | 'dumpBudgets' | 'restoreBudgets' | 'resetBudgets'>): UsageFeed;
}

/** What is used and spent where one process does everything: entries wait here until they are read, and budgets are those of the counters. `after`: ids of a former run are before ours. */
export function makeMemoryUsage({ now, after }: { now: () => number; after: readonly string[] }): MemoryUsage {
  const waiting = new Map<string, UsageEntry[]>();
  let spending = new Set<string>();
  let last = after.toSorted(compareStreamIds).at(-1) ?? firstStreamId;

  /** After every other, also when the clock goes back. */
  function nextId(): string {
    const [ms = '0', number = '0'] = last.split('-');
    last = now() > Number(ms) ? `${now()}-0` : `${ms}-${Number(number) + 1}`;
    return last;
  }

  /** What was read up to here: its only reader has it, and a crash of this process takes both, written down or not. So what cannot be written never piles up here. */
  function letGo(tag: string, place: string): void {
    const left = (waiting.get(tag) ?? []).filter(({ id }) => compareStreamIds(id, place) > 0);
    if (left.length > 0) waiting.set(tag, left);
    else waiting.delete(tag);
  }

  return {
    take(event) {
      const tag = tagOf(event.keyId);
      const entries = waiting.get(tag) ?? [];
      waiting.set(tag, entries);
      entries.push({ id: nextId(), event });
    },
    noteSpending: (keyId) => void spending.add(keyId),
    toFeed: (counters) => ({
      source: {
        connected: true,
        connections: 0,
        unread: 0,
        open: async () => ({ places: [], isWhole: true }),
        async read(positions) {
          for (const [tag, place] of positions) letGo(tag, place);
          return [...waiting].map(([tag, entries]) => ({ tag, entries }));
        },
        // what was read is gone already
        acknowledge: async (positions) => positions,
        lastIds: async () => ({ ids: new Map<string, string>(), isWhole: true }),
      },
      board: {
        connected: true,
        async read(keyIds) {
          const spend = counters.dumpBudgets();
          return keyIds.map((keyId) => ({
            status: 'fulfilled',
            value: { epoch: 'memory', answeredEpoch: 'memory', windows: toWindows(spend[keyId]) },
          }));
        },
        takeSpending() {
          const taken = [...spending];
          spending = new Set();
          return taken;
        },
        async raise(known) {
          counters.restoreBudgets(Object.fromEntries(known.map(({ keyId, spent }) => [keyId, Object.fromEntries(spent)])));
          return known.map(() => ({ status: 'fulfilled', value: 1 }));
        },
        reset: async ({ keyId, windows }) => counters.resetBudgets(keyId, windows),
        // Nobody has to ask: what was kept is there before anybody is admitted.
        listen: () => () => {},
      },
      limits: {
        connected: true,
        read: (questions) => Promise.all(questions.map((question) => readLimits(counters, question))),
      },
    }),
  };
}

async function readLimits(counters: Pick<MemoryCounters, 'peek'>, { holder, windows }: LimitQuestion): Promise<LimitReading | undefined> {
  const answer = await counters.peek({ keyId: holder, windows: windows.map((window) => ({ ...window, shadow: false })) });
  return answer.outcome === 'known' ? { used: answer.windows.map(({ used }) => used), inFlight: answer.inFlight } : undefined;
}

function toWindows(spend: Readonly<Record<string, number>> = {}) {
  return Object.entries(spend).map(([window, spentNanoUsd]) => ({ window, spentNanoUsd, reservedNanoUsd: 0 }));
}
