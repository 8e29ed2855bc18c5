import type { Redis } from 'ioredis';

/** What is stored of counters, read as it is packed (window.lua, budget.lua). */
export interface StoredCounters {
  /** per window what counts; per budget what is spent and reserved of each period */
  readonly sums: Readonly<Record<string, number>>;
  /** per window: index, low and anchor, and its buckets without lifetimes */
  readonly windows: Readonly<Record<string, unknown>>;
  /** every other key but that a call was made, and events, whose ids are times */
  readonly other: Readonly<Record<string, unknown>>;
}

/** Lifetimes are left out, but each key must have one; what requests hold gets one from the next sweep at the latest. */
export async function readStored(redis: Redis): Promise<StoredCounters> {
  const sums: Record<string, number> = {};
  const windows: Record<string, unknown> = {};
  const other: Record<string, unknown> = {};
  for (const key of (await redis.keys('*')).toSorted()) {
    const name = key.replace(/^kw:\{[^}]*\}:/, '');
    if (!name.startsWith('held') && (await redis.pttl(key)) <= 0) throw new Error(`${key} would stay for ever`);
    const type = await redis.type(key);
    if (name.startsWith('told:') || type === 'stream') continue;
    if (/^(minute|day):/.test(name)) {
      const stored = await redis.hgetallBuffer(key);
      sums[name] = stored['h']?.readDoubleLE(16) ?? Number.NaN;
      windows[name] = Object.entries(stored)
        .map(([field, value]) => `${field} ${value.subarray(0, field === 'h' ? 32 : 16).toString('hex')}`)
        .toSorted();
    } else if (name.startsWith('budget:')) {
      addMoney(sums, await redis.hgetallBuffer(key));
    } else if (type === 'hash') {
      other[name] = Object.entries(await redis.hgetall(key))
        .map(([field, value]) => `${field} ${value}`)
        .toSorted();
    } else {
      other[name] = type === 'zset' ? await redis.call('ZRANGE', key, '0', '-1', 'WITHSCORES') : await redis.get(key);
    }
  }
  return { sums, windows, other };
}

function addMoney(sums: Record<string, number>, stored: Record<string, Buffer>): void {
  for (const [field, value] of Object.entries(stored)) {
    const [, isLater, period = ''] = /^(p?)(?=[DWMT]\d)(\w)/.exec(field) ?? [];
    if (period === '') continue;
    const name = period === 'T' ? 'T0' : period;
    const spent = isLater ? Number(value.toString()) : value.readDoubleLE(0);
    sums[`spent ${name}`] = (sums[`spent ${name}`] ?? 0) + spent;
    if (!isLater) sums[`reserved ${name}`] = value.readDoubleLE(8);
  }
}
