import { type Hidden, hide } from './environment.ts';

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly database: number;
  readonly username?: string;
  readonly password?: Hidden;
}

/**
 * `redis://[user[:password]@]host[:port][/database]` or `rediss://` for TLS. The message of a refusal never quotes the text, because that may hold the password.
 */
export function parseRedisUrl(text: string): { ok: true; address: RedisAddress } | { ok: false; message: string } {
  if (!URL.canParse(text)) return refuse('is no URL: redis://[user:password@]host:port is expected');
  const url = new URL(text);
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') return refuse(toSchemeMessage(url.protocol));
  if (url.hostname === '') return refuse('names no host');
  const path = /^\/?(\d{0,4})$/.exec(url.pathname);
  if (path === null) return refuse('may have only the number of a database as its path');
  const username = decode(url.username);
  const password = decode(url.password);
  if (username === undefined || password === undefined) return refuse('has a user or password whose %-escapes are wrong');
  return {
    ok: true,
    address: {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(url.port || 6379),
      tls: url.protocol === 'rediss:',
      database: Number(path[1]),
      ...(username !== '' && { username }),
      ...(password !== '' && { password: hide(password) }),
    },
  };
}

/** What is wrong with the setting, for the list of mistakes; never quotes it, since it may hold the password. */
export function findRedisMistakes(redisUrl: Hidden | undefined): string[] {
  const parsed = redisUrl === undefined ? undefined : parseRedisUrl(redisUrl.reveal());
  return parsed === undefined || parsed.ok ? [] : [`KEYWRIGHT_REDIS_URL ${parsed.message}`];
}

function toSchemeMessage(protocol: string): string {
  if (/sentinel|cluster/.test(protocol))
    return 'asks for Redis Sentinel or Redis Cluster, which this version does not speak: give the redis:// or rediss:// address of one Redis';
  return 'must begin with redis:// or rediss://';
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function refuse(message: string): { ok: false; message: string } {
  return { ok: false, message: `the Redis URL ${message}` };
}
