import {
  heartbeatChannel,
  heartbeatEndsKey,
  heartbeatEveryMs,
  heartbeatLastsMs,
  heartbeatsKey,
  type InForce,
  toHeartbeatContent,
} from '../../core/heartbeat.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import { makeRedisScript } from '../../runtime/redis-script.ts';

export interface ProxyHeartbeat {
  /** proxies that live, this one included; the last known number while Redis is away; undefined: nobody has ever said */
  living(): number | undefined;
  /** something new is in force */
  changed(): void;
  stop(): Promise<void>;
}

export interface HeartbeatOptions {
  readonly link: RedisLink;
  /** unlike that of every other process */
  readonly proxy: string;
  /** what is in force; undefined: nothing yet, and then this proxy serves nobody */
  readonly inForce: () => InForce | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Shards that change in one burst are told once. */
const burstMs = 10;
/** After an outage all have to come back before they are counted: the highest number of this time counts. */
const countedMs = 15_000;

/**
 * KEYS: heartbeats, ends of their time. ARGV: proxy, how long it lasts in ms, content, channel. Gives how many live. What has run out goes a few at a time; when all proxies are
 * gone, Redis forgets the rest by itself.
 */
const heartbeatScript = makeRedisScript(`
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lasts = tonumber(ARGV[2])
local value = string.format('%.0f', now + lasts) .. ' ' .. ARGV[3]
call('HSET', KEYS[1], ARGV[1], value)
call('ZADD', KEYS[2], string.format('%.0f', now + lasts), ARGV[1])
local over = call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now), 'LIMIT', 0, 16)
if #over > 0 then
  call('HDEL', KEYS[1], unpack(over))
  call('ZREM', KEYS[2], unpack(over))
end
call('PEXPIRE', KEYS[1], string.format('%.0f', lasts * 10))
call('PEXPIRE', KEYS[2], string.format('%.0f', lasts * 10))
call('PUBLISH', ARGV[4], ARGV[1] .. ' ' .. value)
return call('ZCOUNT', KEYS[2], '(' .. string.format('%.0f', now), '+inf')
`);

/** Tells every two seconds, and as soon as something new is in force, what this proxy has. Nothing waits for it. */
export function startHeartbeat({ link, proxy, inForce, clock, log, metrics }: HeartbeatOptions): ProxyHeartbeat {
  let counts: { readonly atMs: number; readonly living: number }[] = [];
  let next: { readonly timer: Timer; readonly atMs: number } | undefined;
  let sending = false;
  let isBehind = false;
  let stopped = false;
  metrics.gauge({
    name: 'proxies_living',
    help: 'Proxies that told in the last seconds that they live, as this one last heard; 0 before it has heard.',
    collect: (gauge) => gauge.set(living() ?? 0),
  });

  function living(): number | undefined {
    return counts.length === 0 ? undefined : Math.max(...counts.map((count) => count.living));
  }

  async function send(): Promise<void> {
    const content = inForce();
    if (content === undefined || !link.connected) return;
    const parameters = [heartbeatsKey, heartbeatEndsKey, proxy, String(heartbeatLastsMs), toHeartbeatContent(content), heartbeatChannel];
    const [reply] = await link.run([{ script: heartbeatScript, keyCount: 2, parameters }]);
    const nowMs = clock.now();
    counts = [...counts.filter(({ atMs }) => nowMs - atMs < countedMs), { atMs: nowMs, living: Number(reply) }];
  }

  /** One at a time; what changes meanwhile is told right after. */
  async function beat(): Promise<void> {
    next = undefined;
    sending = true;
    isBehind = false;
    try {
      await send();
    } catch (error) {
      log.debug({ event: 'heartbeat_failed', err: error }, 'Redis did not take the heartbeat');
    }
    sending = false;
    schedule(isBehind ? burstMs : heartbeatEveryMs);
  }

  /** The sooner of this and what is planned already. */
  function schedule(ms: number): void {
    const atMs = clock.now() + ms;
    if (stopped || sending || (next !== undefined && next.atMs <= atMs)) return;
    next?.timer.cancel();
    next = { atMs, timer: clock.after(ms, () => void beat()) };
  }

  function changed(): void {
    isBehind = true;
    schedule(burstMs);
  }

  link.onConnected(changed);
  schedule(heartbeatEveryMs);

  return {
    living,
    changed,
    async stop() {
      stopped = true;
      next?.timer.cancel();
      // nobody waits for one that has said goodbye
      if (link.connected)
        await link
          .send([
            ['HDEL', heartbeatsKey, proxy],
            ['ZREM', heartbeatEndsKey, proxy],
          ])
          .catch(() => {});
    },
  };
}
