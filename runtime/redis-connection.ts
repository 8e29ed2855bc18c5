import { Redis } from 'ioredis';
import type { RedisScriptCall } from './redis-script.ts';
import type { RedisAddress } from './redis-url.ts';

export interface RedisConnectionOptions {
  /** shown by CLIENT LIST */
  readonly name: string;
  /** PEM of the authorities that `rediss://` trusts, instead of the system's */
  readonly ca?: string | undefined;
  /** in [0, 1), for the jitter of reconnecting */
  readonly random: () => number;
  /** asks with INFO whether Redis is still loading its data; a user with few rights may not */
  readonly readyCheck?: boolean;
}

/** A connection that is silent for so long while a reply is due is replaced: a peer that vanished without a word would else hold it for a quarter of an hour. */
const silentMs = 3_000;
const connectMs = 2_000;

/** Connects by itself, now and after every loss. Nothing is queued for later: what Redis cannot take now is the caller's to decide. */
export function connectRedis(address: RedisAddress, { name, ca, random, readyCheck = true }: RedisConnectionOptions): Redis {
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
    enableReadyCheck: readyCheck,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    connectTimeout: connectMs,
    socketTimeout: silentMs,
    retryStrategy: (times) => Math.min(1_000, 50 * 2 ** Math.min(times, 5)) * (0.5 + random() / 2),
    // the master has become a replica: its successor is found by connecting again
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
}

/** A script that Redis forgot (restart, SCRIPT FLUSH) is sent along. */
export async function runScript(redis: Redis, { script, keyCount, parameters }: RedisScriptCall): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha, keyCount, ...parameters);
  } catch (error) {
    if (!isForgotten(error)) throw error;
    return redis.eval(script.source, keyCount, ...parameters);
  }
}

/** One write for all; what Redis had forgotten the script of follows one by one, the first of which brings the script along. */
export async function runScripts(redis: Redis, calls: readonly RedisScriptCall[]): Promise<PromiseSettledResult<unknown>[]> {
  const pipeline = redis.pipeline();
  for (const { script, keyCount, parameters } of calls) pipeline.evalsha(script.sha, keyCount, ...parameters);
  const replies = await pipeline.exec().catch((error: unknown) => calls.map((): [unknown, unknown] => [error, undefined]));
  const results: PromiseSettledResult<unknown>[] = [];
  for (const [position, call] of calls.entries()) {
    const [error, value] = replies?.[position] ?? [new Error('no reply')];
    if (isForgotten(error)) results.push(...(await Promise.allSettled([runScript(redis, call)])));
    else results.push(error ? { status: 'rejected', reason: error } : { status: 'fulfilled', value });
  }
  return results;
}

/** A word or two for the log. Never the message or the command: those of AUTH hold the password. */
export function toRedisReason(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return /^[A-Z]{3,}(?= )/.exec(error.message)?.[0] ?? error.name;
}

function isForgotten(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
