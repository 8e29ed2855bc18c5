import { toAnswer } from './answers.ts';
import type { Counters } from './counters.ts';
import { LimitStore } from './limit-store.ts';

/** Counters of one process, for standalone use: nothing is shared and nothing survives it. `now`: ms since 1970. */
export function makeMemoryCounters({
  now,
  random = Math.random,
}: {
  now: () => number;
  random?: () => number;
}): Counters & { dump(): unknown; readonly size: number } {
  const store = new LimitStore();
  return {
    async admit(admission) {
      return toAnswer(store.admit(admission, now()), admission, { degraded: false, random });
    },
    settle: (settlement) => store.settle(settlement, now()),
    renew: (admission, tokensSoFar) => store.renew(admission, tokensSoFar, now()),
    async flush() {},
    async close() {},
    dump: () => store.dump(),
    get size() {
      return store.size;
    },
  };
}
