import type { MakeCounters } from '../../proxy/counters/contract.ts';
import { makeRedisCounters, type RedisCountersOptions } from '../../proxy/counters/redis.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { forgetCounts, toCounts } from './forget-counts.ts';

/** A Redis as the contract suites see it: how it is reached, and all that is in it. */
export interface StoreUnderTest {
  readonly options: Pick<RedisCountersOptions, 'url' | 'caFile' | 'sentinelPassword'>;
  keys(): Promise<string[]>;
  cli(...command: string[]): Promise<unknown>;
  flush(): Promise<unknown>;
  /** what is stored under this name, in a form that tells two contents apart */
  contentOf(key: string): Promise<unknown>;
}

/** Counters of one proxy for a contract suite. A busy test machine must not turn a slow answer into one of the local share: hence the patience. */
export function toMakeCounters(store: () => StoreUnderTest): MakeCounters {
  return async ({ now, random }) => {
    const { options, keys, cli, flush, contentOf } = store();
    await flush();
    const metrics = makeMetrics();
    const log = makeLog({ level: 'silent', name: 'test' });
    const counters = makeRedisCounters({
      ...options,
      log,
      metrics,
      replicas: 1,
      remembers: false,
      now,
      random,
      redisClock: now,
      deadlineMs: 5_000,
      // there is no operator here: a budget that is new to Redis opens at once
      restoreTimes: { giveUpMs: 0, listenMs: 0, askEveryMs: 250, pollMs: 1 },
    });
    await counters.ready(5_000);
    return {
      counters,
      async dump() {
        const listed = toCounts(await keys());
        return Object.fromEntries(await Promise.all(listed.map(async (key) => [key, await contentOf(key)] as const)));
      },
      reset: () => forgetCounts({ keys, cli }),
      async close() {
        await counters.close();
        metrics.close();
      },
    };
  };
}
