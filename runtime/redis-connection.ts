import { isIP } from 'node:net';
import { Redis, type RedisOptions } from 'ioredis';
import { followAuthorities, type RedisSource } from './redis-settings.ts';
import type { RedisAddress, RedisEndpoint } from './redis-url.ts';

/** The client's own connection, for the files beside this one. */
export type RedisConnection = Redis;

export interface RedisConnectionOptions extends Omit<RedisSource, 'url'> {
  /** shown by CLIENT LIST */
  readonly name: string;
  /** in [0, 1), for the jitter of reconnecting */
  readonly random: () => number;
  /** asks with INFO whether Redis is still loading its data; a user with few rights may not */
  readonly readyCheck?: boolean;
}

/** A connection that is silent for so long while a reply is due is replaced: a peer that vanished without a word would else hold it for a quarter of an hour. */
const silentMs = 3_000;
const connectMs = 2_000;

/** To the one Redis, or to the master that the Sentinels name. Connects by itself, now and after every loss. Nothing is queued for later: what Redis cannot take now is the caller's to decide. */
export function connectRedis(address: RedisAddress, options: RedisConnectionOptions): Redis {
  const [first] = address.endpoints;
  if (address.topology === 'sentinel') return new Redis({ ...toSentinelOptions(address, options), ...toCommonOptions(address, options) });
  return connectAnyNode(address, options, () => (first === undefined ? [] : [first]));
}

/** To one of these, and after a loss to the next. `endpoints` is asked anew each time. */
export function connectAnyNode(address: RedisAddress, options: RedisConnectionOptions, endpoints: () => readonly RedisEndpoint[]): Redis {
  let attempts = Math.floor(options.random() * endpoints().length);
  const common = toCommonOptions(address, options);
  const wait = common.retryStrategy;
  let current = endpoints()[attempts] ?? { host: '127.0.0.1', port: 0 };
  const readCa = followAuthorities(options.caFile);
  const redis: Redis = new Redis({
    ...common,
    ...current,
    ...(address.tls && { tls: toTls(readCa, () => current.host) }),
    retryStrategy(times) {
      const known = endpoints();
      attempts += 1;
      current = known[attempts % Math.max(1, known.length)] ?? current;
      // ioredis reads these at each attempt
      Object.assign(redis.options, current);
      return wait(times);
    },
  });
  return redis;
}

/** A word or two for the log. Never the message or the command: those of AUTH hold the password. */
export function toRedisReason(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error.message.startsWith('All sentinels are unreachable')) return 'no Sentinel names a master';
  if (error.message.includes('cluster support disabled')) return 'is no Redis Cluster';
  return /^[A-Z]{3,}(?= )/.exec(error.message)?.[0] ?? error.name;
}

function toCommonOptions(
  address: RedisAddress,
  { name, random, readyCheck = true }: RedisConnectionOptions,
): RedisOptions & { retryStrategy: (times: number) => number } {
  return {
    db: address.database,
    ...(address.username !== undefined && { username: address.username }),
    ...(address.password !== undefined && { password: address.password.reveal() }),
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
  };
}

/** Sentinels are asked at each connection, and told of a new master by them at once, also where the former one still holds its connections. */
function toSentinelOptions(
  address: RedisAddress,
  { caFile, sentinelUsername, sentinelPassword, random }: RedisConnectionOptions,
): RedisOptions {
  const readCa = followAuthorities(caFile);
  return {
    sentinels: [...address.endpoints],
    name: address.masterName,
    role: 'master',
    failoverDetector: true,
    updateSentinels: true,
    sentinelCommandTimeout: connectMs,
    sentinelRetryStrategy: (times) => Math.min(1_000, 100 * times) * (0.5 + random() / 2),
    ...(sentinelUsername !== undefined && { sentinelUsername }),
    ...(sentinelPassword !== undefined && { sentinelPassword: sentinelPassword.reveal() }),
    ...(address.tls && { tls: toTls(readCa), sentinelTLS: toTls(readCa), enableTLSForSentinelMode: true }),
  };
}

/** ioredis copies these properties at each connection, so they may be getters. */
function toTls(readCa: () => string | undefined, host: () => string = () => ''): NonNullable<RedisOptions['tls']> {
  return Object.defineProperties(
    {},
    {
      ca: { enumerable: true, get: readCa },
      // RFC 6066: an address is no server name
      servername: { enumerable: true, get: () => (host() === '' || isIP(host()) > 0 ? undefined : host()) },
    },
  );
}
