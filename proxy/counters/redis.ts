import { Redis } from 'ioredis';
import type { Secret } from '../../core/secret.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';
import type { ScriptCall } from './scripts.ts';
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

/** A connection that is silent for so long while a reply is due is replaced: a peer that vanished without a word would else hold it for a quarter of an hour. */
const silentMs = 3_000;
const connectMs = 2_000;

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
  const redis = connect(address, { name, ca, random });
  let reason = 'not connected yet';
  let lost: (reason: string) => void = () => {};
  redis.on('error', (error: unknown) => {
    reason = toReason(error);
  });
  redis.on('close', () => lost(reason));
  return {
    get ready() {
      return redis.status === 'ready';
    },
    run: (call) => run(redis, call),
    runAll: (calls) => runAll(redis, calls),
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

function connect(address: RedisAddress, { name, ca, random }: { name: string; ca: string | undefined; random: () => number }): Redis {
  return new Redis({
    host: address.host,
    port: address.port,
    db: address.database,
    ...(address.username !== undefined && { username: address.username }),
    ...(address.password !== undefined && { password: address.password.reveal() }),
    ...(address.tls && { tls: { servername: address.host, ...(ca !== undefined && { ca }) } }),
    protocol: 2,
    connectionName: name,
    disableClientInfo: true,
    // what Redis cannot answer now is decided by the failure policy, not later
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: connectMs,
    socketTimeout: silentMs,
    retryStrategy: (times) => Math.min(1_000, 50 * 2 ** Math.min(times, 5)) * (0.5 + random() / 2),
    // the master has become a replica: its successor is found by connecting again
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
}

/** A script that Redis forgot (restart, SCRIPT FLUSH) is sent along. */
async function run(redis: Redis, { script, keyCount, parameters }: ScriptCall): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha, keyCount, ...parameters);
  } catch (error) {
    if (!isForgotten(error)) throw error;
    return redis.eval(script.source, keyCount, ...parameters);
  }
}

/** One write for all; what Redis had forgotten the script of follows one by one, the first of which brings the script along. */
async function runAll(redis: Redis, calls: readonly ScriptCall[]): Promise<PromiseSettledResult<unknown>[]> {
  const pipeline = redis.pipeline();
  for (const { script, keyCount, parameters } of calls) pipeline.evalsha(script.sha, keyCount, ...parameters);
  const replies = await pipeline.exec().catch((error: unknown) => calls.map((): [unknown, unknown] => [error, undefined]));
  const results: PromiseSettledResult<unknown>[] = [];
  for (const [position, call] of calls.entries()) {
    const [error, value] = replies?.[position] ?? [new Error('no reply')];
    if (isForgotten(error)) results.push(...(await Promise.allSettled([run(redis, call)])));
    else results.push(error ? { status: 'rejected', reason: error } : { status: 'fulfilled', value });
  }
  return results;
}

function isForgotten(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

/** A word or two for the log. Never the message or the command: those of AUTH hold the password. */
function toReason(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return /^[A-Z]{3,}(?= )/.exec(error.message)?.[0] ?? error.name;
}
