import { groupByTag, lastUsedKey, toLastUsedField, type UsedCredential } from '../../core/last-used.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import { makeRedisScript } from '../../runtime/redis-script.ts';

/** Who notes that a credential which a rotation has replaced is still used. */
export interface LastUsed {
  /** on the request path: must not wait or throw */
  note(used: UsedCredential): void;
}

const noteEveryMs = 60_000;
const sendEveryMs = 2_000;
const mostRemembered = 10_000;
/** Overlaps are days; what nobody has taken away by then belongs to nobody. */
const keptMs = 30 * 86_400_000;

interface Noted extends UsedCredential {
  readonly atMs: number;
}

/** The later of what stands and what is told counts. KEYS: the hash. ARGV: how long it is kept in ms, then field and time of each. */
const lastUsedScript = makeRedisScript(`
for position = 2, #ARGV, 2 do
  local stands = tonumber(redis.call('HGET', KEYS[1], ARGV[position]) or '0')
  if not stands or stands < tonumber(ARGV[position + 1]) then redis.call('HSET', KEYS[1], ARGV[position], ARGV[position + 1]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
`);

/** Tells Redis at most once a minute for each credential, off the request path. What is not told while Redis is away is told by the next use. */
export function startLastUsed({ link, clock, log }: { link: RedisLink; clock: Clock; log: Log }): LastUsed & { stop(): Promise<void> } {
  /** when each was noted last; the oldest first */
  const noted = new Map<string, number>();
  let waiting: Noted[] = [];
  let timer: Timer | undefined;

  async function send(): Promise<void> {
    timer = undefined;
    const batch = waiting;
    waiting = [];
    if (batch.length === 0 || !link.connected) return;
    const calls = groupByTag(batch).map(([tag, items]) => ({
      script: lastUsedScript,
      keyCount: 1,
      parameters: [lastUsedKey(tag), String(keptMs), ...items.flatMap((item) => [toLastUsedField(item), String(item.atMs)])],
    }));
    try {
      await link.run(calls);
    } catch (error) {
      log.debug({ event: 'last_used_not_told', err: error }, 'Redis did not take when retiring credentials were used');
    }
  }

  return {
    note(used) {
      const field = toLastUsedField(used);
      const atMs = clock.now();
      if (atMs - (noted.get(field) ?? -Infinity) < noteEveryMs) return;
      noted.delete(field);
      noted.set(field, atMs);
      const [oldest] = noted.keys();
      if (noted.size > mostRemembered && oldest !== undefined) noted.delete(oldest);
      if (waiting.length < mostRemembered) waiting.push({ ...used, atMs });
      timer ??= clock.after(sendEveryMs, () => void send());
    },
    async stop() {
      timer?.cancel();
      await send();
    },
  };
}
