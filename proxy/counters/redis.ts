import { type Hidden, hide } from '../../runtime/environment.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import { openRedis, type RedisOptions, toRedisAddress } from '../../runtime/redis-open.ts';
import { runScript, runScripts } from '../../runtime/redis-script.ts';
import type { RedisSource } from '../../runtime/redis-settings.ts';
import { describeRedis } from '../../runtime/redis-url.ts';
import { makeBlockCache } from './ahead/block-cache.ts';
import type { BudgetRestore, RestoreTimes } from './outage/budget-restorer.ts';
import type { FailurePolicy } from './outage/fallback.ts';
import { makeFrontCounters } from './ahead/front-counters.ts';
import type { ScriptStore } from './scripts/script-store.ts';
import { type LimitMode, makeSharedCounters, type SharedCounters } from './shared-counters.ts';

export interface RedisCountersOptions extends Omit<RedisSource, 'url'> {
  readonly url: string | Hidden;
  readonly log: Log;
  readonly metrics: Metrics;
  /** what decides while Redis is away; LocalShare unless given */
  readonly failurePolicy?: FailurePolicy;
  /** may this process book for many requests at once? `strict` unless given */
  readonly limitMode?: LimitMode;
  /** proxies that share the limits; a function where the number changes */
  readonly replicas: number | (() => number);
  /** ms since 1970, for what this process decides by itself; Redis decides by its own clock */
  readonly now: () => number;
  readonly random?: () => number;
  /** longest wait for an admission, our own stalls not counted */
  readonly deadlineMs?: number;
  /** tests only: false = every admission is asked of Redis, as if this proxy remembered nothing of it */
  readonly remembers?: boolean;
  /** tests only: takes the place of Redis' clock */
  readonly redisClock?: () => number;
  /** of a budget whose spend was lost and of which the operator says nothing; Open unless given */
  readonly budgetRestore?: BudgetRestore;
  readonly restoreTimes?: RestoreTimes;
}

/** Counters that all proxies share through Redis. Connects by itself, now and after every loss; until then `failurePolicy` decides. */
export function makeRedisCounters({
  url,
  caFile,
  sentinelUsername,
  sentinelPassword,
  random = Math.random,
  failurePolicy = 'LocalShare',
  limitMode = 'strict',
  replicas,
  remembers = true,
  ...options
}: RedisCountersOptions): SharedCounters {
  const { log, metrics } = options;
  const shown = typeof url === 'string' ? hide(url) : url;
  const source = { url: shown, caFile, sentinelUsername, sentinelPassword, random, log };
  // an admission must not wait behind a batch of settlements
  const admissions = makeStore({ ...source, name: 'keywright-admit' });
  const settlements = makeStore({ ...source, name: 'keywright-settle' });
  metrics.gauge({
    name: 'redis_eviction_possible',
    help: '1 while a Redis throws keys away when it is full (maxmemory-policy is not noeviction): limits and budgets may then be forgotten; -1 while it has not told.',
    collect: (gauge) => gauge.set(admissions.evicts === undefined ? -1 : Number(admissions.evicts)),
  });
  const blocks = makeBlockCache({ now: options.redisClock ?? (() => performance.now()) });
  const shared = makeSharedCounters({
    ...options,
    onFreed: (freed) => blocks.freed(freed),
    random,
    failurePolicy,
    limitMode,
    replicas: typeof replicas === 'number' ? () => replicas : replicas,
    admissions,
    settlements,
    where: describeRedis(toRedisAddress(shown.reveal())),
  });
  if (!remembers) return shared;
  return makeFrontCounters({ shared, blocks, metrics });
}

function makeStore(options: RedisOptions): ScriptStore & { readonly evicts: boolean | undefined } {
  const redis = openRedis(options);
  return {
    get ready() {
      return redis.ready;
    },
    get evicts() {
      return redis.evicts;
    },
    readyFor: (tag) => redis.readyFor(`{${tag}}`),
    placeOf: (tag) => redis.placeOf(`{${tag}}`),
    epochOf: (tag) => redis.epochOf(`{${tag}}`),
    run: (call) => runScript(redis, call),
    runAll: (calls) => runScripts(redis, calls),
    async probe(tag) {
      // a write: a replica, a full or a loading Redis answers a mere PING
      const [answer] = await redis.send([['SET', `kw:{${tag}}:probe`, '1', 'PX', '1000']]);
      if (answer?.status !== 'fulfilled') throw answer?.reason ?? new Error(redis.reason);
    },
    watch: (listener) => redis.watch(listener),
    async close() {
      redis.close();
    },
  };
}
