import { hashTags } from '../../core/hash-tag.ts';
import type { RedisScriptCall } from '../../runtime/redis-script.ts';
import { toDueCall, toSweepCall } from './scripts/budget-scripts.ts';

interface Options {
  readonly readyFor: (tag: string) => boolean;
  /** tags at the same place are swept together; one that hangs holds up no other */
  readonly placeOf: (tag: string) => string;
  readonly runAll: (calls: readonly RedisScriptCall[]) => Promise<readonly PromiseSettledResult<unknown>[]>;
  /** the text that takes the place of the store's clock, for tests; '' in production */
  readonly clockText: () => string;
  /** in [0, 1): proxies that started together shall not sweep together */
  readonly random: () => number;
  readonly everyMs?: number;
}

const sweepEveryMs = 2_000;
/** Of one tag at a time; what is left over is still due the next time, and other proxies sweep too. */
const mostKeysOfTag = 32;

/**
 * Turns reservations that nobody settled into spend although nobody asks about their keys any more: their proxy has died, and any other one does it. Two writes to the store each
 * time, the second only where something is due.
 */
export function startBudgetSweeper(options: Options): { stop(): void } {
  const { readyFor, placeOf, runAll, clockText, random, everyMs = sweepEveryMs } = options;
  const underWay = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const sweep = async (tags: readonly string[]): Promise<void> => {
    const due = await runAll(tags.map((tag) => toDueCall(tag, mostKeysOfTag, clockText())));
    const keyIds = due.flatMap((result) => (result.status === 'fulfilled' && Array.isArray(result.value) ? result.value.map(String) : []));
    if (keyIds.length > 0 && !stopped) await runAll(keyIds.map((keyId) => toSweepCall(keyId, clockText())));
  };
  const sweepAll = (): void => {
    const places = Map.groupBy(
      hashTags.filter((tag) => readyFor(tag)),
      placeOf,
    );
    for (const [place, tags] of places) {
      if (underWay.has(place)) continue;
      underWay.add(place);
      const end = (): boolean => underWay.delete(place);
      void sweep(tags).then(end, end);
    }
    schedule();
  };
  const schedule = (): void => {
    timer = setTimeout(sweepAll, everyMs * (0.75 + random() / 2));
    timer.unref();
  };
  schedule();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
