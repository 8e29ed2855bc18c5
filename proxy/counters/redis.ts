import type { Secret } from '../../core/secret.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import { connectRedis, runScript, runScripts, toRedisReason } from '../../runtime/redis-connection.ts';
import { parseRedisUrl, type RedisAddress } from '../../runtime/redis-url.ts';
import { type FailurePolicy, makeSharedCounters, type ScriptStore, type SharedCounters } from './shared-counters.ts';

export interface RedisCountersOptions {
  readonly url: string | Secret;
  readonly log: Log;
  readonly metrics: Metrics;
  /** what decides while Redis is away; LocalShare unless given */
  readonly failurePolicy?: FailurePolicy;
  /** proxies that share the limits; a function where the number changes */
  readonly replicas: number | (() => number);
  /** ms since 1970, for what this process decides by itself; Redis decides by its own clock */
  readonly now: () => number;
  readonly random?: () => number;
  /** longest wait for an admission, our own stalls not counted */
  readonly deadlineMs?: number;
  /** PEM of the authorities that `rediss://` trusts, instead of the system's */
  readonly ca?: string;
  /** tests only: takes the place of Redis' clock */
  readonly redisClock?: () => number;
}

/** Counters that all proxies share through Redis. Connects by itself, now and after every loss; until then `failurePolicy` decides. */
export function makeRedisCounters({
  url,
  ca,
  random = Math.random,
  failurePolicy = 'LocalShare',
  replicas,
  ...options
}: RedisCountersOptions): SharedCounters {
  const parsed = parseRedisUrl(typeof url === 'string' ? url : url.reveal());
  if (!parsed.ok) throw new TypeError(parsed.message);
  const { address } = parsed;
  return makeSharedCounters({
    ...options,
    random,
    failurePolicy,
    replicas: typeof replicas === 'number' ? () => replicas : replicas,
    // an admission must not wait behind a batch of settlements
    admissions: makeStore(address, { name: 'keywright-admit', ca, random }),
    settlements: makeStore(address, { name: 'keywright-settle', ca, random }),
    where: `${address.host}:${address.port}`,
  });
}

function makeStore(
  address: RedisAddress,
  { name, ca, random }: { name: string; ca: string | undefined; random: () => number },
): ScriptStore {
  const redis = connectRedis(address, { name, ca, random });
  let reason = 'not connected yet';
  let lost: (reason: string) => void = () => {};
  redis.on('error', (error: unknown) => {
    reason = toRedisReason(error);
  });
  redis.on('close', () => lost(reason));
  return {
    get ready() {
      return redis.status === 'ready';
    },
    run: (call) => runScript(redis, call),
    runAll: (calls) => runScripts(redis, calls),
    // a write: a replica, a full or a loading Redis answers a mere PING
    probe: async () => void (await redis.set('kw:{00}:probe', '1', 'PX', 1_000)),
    watch({ onReady, onLost }) {
      redis.on('ready', onReady);
      lost = onLost;
      if (redis.status === 'ready') onReady();
    },
    async close() {
      redis.disconnect();
    },
  };
}
