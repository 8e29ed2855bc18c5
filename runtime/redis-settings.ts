import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { defineSettings, type Hidden } from './environment.ts';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';

/** What every process that speaks to Redis takes beside KEYWRIGHT_REDIS_URL. */
export const redisSettings = defineSettings({
  redisCaFile: {
    name: 'KEYWRIGHT_REDIS_CA_FILE',
    kind: 'text',
    description: 'file with the authorities (PEM) that rediss:// trusts instead of the usual ones; read again at each connection',
  },
  redisSentinelUsername: {
    name: 'KEYWRIGHT_REDIS_SENTINEL_USERNAME',
    kind: 'text',
    description: 'user at the Sentinels themselves; the one in the URL is for Redis',
  },
  redisSentinelPassword: {
    name: 'KEYWRIGHT_REDIS_SENTINEL_PASSWORD',
    kind: 'text',
    secret: true,
    description: 'password at the Sentinels themselves; absent: they ask for none',
  },
});

/** Which Redis, and as whom. */
export interface RedisSource {
  readonly url: Hidden;
  readonly caFile?: string | undefined;
  readonly sentinelUsername?: string | undefined;
  readonly sentinelPassword?: Hidden | undefined;
}

export interface RedisSourceSettings {
  readonly redisUrl?: Hidden | undefined;
  readonly redisCaFile?: string | undefined;
  readonly redisSentinelUsername?: string | undefined;
  readonly redisSentinelPassword?: Hidden | undefined;
}

/** Undefined without KEYWRIGHT_REDIS_URL. */
export function toRedisSource(settings: RedisSourceSettings): RedisSource | undefined {
  const { redisUrl, redisCaFile, redisSentinelUsername, redisSentinelPassword } = settings;
  if (redisUrl === undefined) return undefined;
  return { url: redisUrl, caFile: redisCaFile, sentinelUsername: redisSentinelUsername, sentinelPassword: redisSentinelPassword };
}

/** What is wrong with these settings, in whatever could be read; never quotes one that may hold a password. */
export function findRedisMistakes(settings: RedisSourceSettings): string[] {
  const { redisUrl, redisCaFile } = settings;
  const parsed = redisUrl === undefined ? undefined : parseRedisUrl(redisUrl.reveal());
  const mistakes = parsed === undefined || parsed.ok ? [] : parsed.mistakes.map((mistake) => `KEYWRIGHT_REDIS_URL ${mistake}`);
  if (redisCaFile !== undefined) {
    const read = readAuthorities(redisCaFile);
    if ('mistake' in read) mistakes.push(`KEYWRIGHT_REDIS_CA_FILE ${read.mistake}`);
  }
  return [...mistakes, ...findSuperfluous(settings, parsed?.ok === true ? parsed.address : undefined)];
}

/** A setting that does nothing is a slip: whoever gives a CA believes that the connection is encrypted. */
function findSuperfluous(settings: RedisSourceSettings, address: RedisAddress | undefined): string[] {
  const { redisUrl, redisCaFile, redisSentinelUsername, redisSentinelPassword } = settings;
  const isUnknown = redisUrl !== undefined && address === undefined;
  const mistakes: string[] = [];
  if (isUnknown) return mistakes;
  if (redisCaFile !== undefined && address?.tls !== true)
    mistakes.push('KEYWRIGHT_REDIS_CA_FILE is for TLS: KEYWRIGHT_REDIS_URL must begin with rediss');
  if ((redisSentinelUsername ?? redisSentinelPassword) !== undefined && address?.topology !== 'sentinel')
    mistakes.push(
      'KEYWRIGHT_REDIS_SENTINEL_USERNAME and KEYWRIGHT_REDIS_SENTINEL_PASSWORD are for redis+sentinel:// and rediss+sentinel:// alone',
    );
  if (redisSentinelUsername !== undefined && redisSentinelPassword === undefined)
    mistakes.push('KEYWRIGHT_REDIS_SENTINEL_USERNAME needs KEYWRIGHT_REDIS_SENTINEL_PASSWORD');
  return mistakes;
}

/**
 * The authorities in a file, read anew by each call, so that a renewed one needs no restart. What cannot be read at that moment (a volume that is being changed) is as it was before.
 * Undefined: those of the system.
 */
export function followAuthorities(file: string | undefined): () => string | undefined {
  let last: string | undefined;
  return () => {
    if (file === undefined) return undefined;
    const read = readAuthorities(file);
    if ('pem' in read) last = read.pem;
    // without any, nobody may be trusted: not even the authorities of the system
    return last ?? 'no authority';
  };
}

function readAuthorities(file: string): { readonly pem: string } | { readonly mistake: string } {
  let pem: string;
  try {
    pem = readFileSync(file, 'utf8');
  } catch (error) {
    return { mistake: `names a file that cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})` };
  }
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.length > 0 && blocks.every(isCertificate) ? { pem } : { mistake: 'must name a file with certificates in PEM' };
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
