import { type Hidden, hide } from './environment.ts';

export interface RedisEndpoint {
  readonly host: string;
  readonly port: number;
}

/** Where Redis is, in any of the three ways in which it is run. */
export interface RedisAddress {
  readonly topology: 'single' | 'sentinel' | 'cluster';
  /** the one Redis, the Sentinels that know it, or some nodes of the cluster; at least one */
  readonly endpoints: readonly RedisEndpoint[];
  readonly tls: boolean;
  readonly database: number;
  /** what Sentinels call the master; '' elsewhere */
  readonly masterName: string;
  readonly username?: string;
  readonly password?: Hidden;
}

type Parsed = { readonly ok: true; readonly address: RedisAddress } | { readonly ok: false; readonly mistakes: readonly string[] };

const forms =
  'redis://[user:password@]host[:port][/database], redis+sentinel://…host[:port],host[:port]/master or redis+cluster://…host[:port],host[:port]; rediss instead of redis for TLS';
const schemes: Readonly<Record<string, { readonly topology: RedisAddress['topology']; readonly port: number }>> = {
  '': { topology: 'single', port: 6379 },
  '+sentinel': { topology: 'sentinel', port: 26379 },
  '+cluster': { topology: 'cluster', port: 6379 },
};
const hostPattern = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?))(?::(\d{1,5}))?$/;

/**
 * Reads `redis://[user[:password]@]host[:port][/database]`, `redis+sentinel://[user[:password]@]host[:port],…/master[/database]` and
 * `redis+cluster://[user[:password]@]host[:port],…`, each with `rediss` for TLS. Gives every mistake; none quotes the text, because that may hold the password.
 */
export function parseRedisUrl(text: string): Parsed {
  const [, plain = '', kind = '', rest = ''] = /^(rediss?)(\+[a-z]+)?:\/\/(.*)$/s.exec(text) ?? [];
  const scheme = schemes[kind];
  if (plain === '' || scheme === undefined) return { ok: false, mistakes: [`must be ${forms}`] };
  const at = rest.lastIndexOf('@');
  const [authority, path] = splitAt(rest.slice(at + 1), '/');
  const user = parseUser(rest.slice(0, Math.max(0, at)));
  const hosts = parseHosts(authority, scheme);
  const place = parsePath(path, scheme.topology);
  const mistakes = [...user.mistakes, ...hosts.mistakes, ...place.mistakes];
  if (mistakes.length > 0) return { ok: false, mistakes };
  return {
    ok: true,
    address: {
      topology: scheme.topology,
      endpoints: hosts.endpoints,
      tls: plain === 'rediss',
      database: place.database,
      masterName: place.masterName,
      ...(user.username !== '' && { username: user.username }),
      ...(user.password !== '' && { password: hide(user.password) }),
    },
  };
}

/** For people and logs; holds no secret. */
export function describeRedis({ topology, endpoints, masterName }: RedisAddress): string {
  const hosts = endpoints.map(toHostText).join(',');
  if (topology === 'single') return hosts;
  return topology === 'cluster' ? `cluster ${hosts}` : `master ${masterName} of Sentinel ${hosts}`;
}

export function toHostText({ host, port }: RedisEndpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function parseUser(text: string): { username: string; password: string; mistakes: string[] } {
  const [username, password] = splitAt(text, ':').map(decode);
  const mistakes: string[] = [];
  if (/[/?#\s]/.test(text)) mistakes.push('has a user or password with one of / ? # or a blank, which must be %-escaped there');
  if (username === undefined || password === undefined) mistakes.push('has a user or password whose %-escapes are wrong');
  return { username: username ?? '', password: password ?? '', mistakes };
}

function parseHosts(
  text: string,
  { topology, port }: (typeof schemes)[string] & object,
): { endpoints: RedisEndpoint[]; mistakes: string[] } {
  const items = text.split(',');
  const mistakes: string[] = [];
  const endpoints: RedisEndpoint[] = [];
  if (topology === 'single' && items.length > 1) mistakes.push('names several hosts: that is for redis+sentinel:// and redis+cluster://');
  for (const [position, item] of items.entries()) {
    const [, v6, name, , digits] = hostPattern.exec(item) ?? [];
    const host = v6 ?? name;
    const number = digits === undefined ? port : Number(digits);
    const which = items.length > 1 ? ` at place ${position + 1} of its hosts` : '';
    if (item === '') mistakes.push(`names no host${which}`);
    else if (host === undefined) mistakes.push(`must have host, host:port or [IPv6]:port${which}`);
    else if (number < 1 || number > 65_535) mistakes.push(`must have a port from 1 to 65535${which}`);
    else endpoints.push({ host, port: number });
  }
  return { endpoints, mistakes };
}

function parsePath(path: string, topology: RedisAddress['topology']): { masterName: string; database: number; mistakes: string[] } {
  if (topology === 'cluster')
    return { masterName: '', database: 0, mistakes: /^0?$/.test(path) ? [] : ['may have no path: a Redis Cluster has database 0 alone'] };
  const [masterName, database] = topology === 'single' ? ['', path] : splitAt(path, '/');
  const mistakes: string[] = [];
  if (topology === 'sentinel' && !/^[A-Za-z0-9._-]+$/.test(masterName))
    mistakes.push('must have the name that the Sentinels give the master as its path (letters, digits, . _ -), as in …:26379/mymaster');
  if (!/^\d{0,4}$/.test(database))
    mistakes.push(`may have only the number of a database ${topology === 'single' ? 'as its path' : 'after the name of the master'}`);
  return { masterName, database: Number(database), mistakes };
}

/** What is before the first such sign and what is after it. */
function splitAt(text: string, sign: string): [string, string] {
  const at = text.indexOf(sign);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
