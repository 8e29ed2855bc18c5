import type { Registry } from 'prom-client';
import {
  type Heartbeat,
  hasShard,
  heartbeatChannel,
  heartbeatLastsMs,
  heartbeatsKey,
  parseHeartbeat,
  type ShardReference,
} from '../../core/heartbeat.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import { describeError } from '../describe-error.ts';
import { gaugeOf } from '../metric.ts';

/** Whether the proxies have what is published of a key; `unknown`: none of them says. */
export type Settlement = 'settled' | 'waiting' | 'unknown';

export interface Heartbeats {
  /** whether every proxy that lives has this revision of the shard in force */
  settlementOf(shard: ShardReference): Settlement;
  /** something new was heard */
  onChange(listener: () => void): void;
  stop(): void;
}

export interface HeartbeatsOptions {
  readonly link: RedisLink;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
}

const readEveryMs = 5_000;

/** What the proxies tell of themselves. Nobody is known to live or to have anything before all of it was read once, nor while Redis is away. */
export function followHeartbeats({ link, clock, log, metrics }: HeartbeatsOptions): Heartbeats {
  /** with the end of their time by our own clock */
  const living = new Map<string, { readonly heartbeat: Heartbeat; readonly untilMs: number }>();
  const listeners: (() => void)[] = [];
  let isRead = false;
  let timer: Timer;
  let stopped = false;
  const gauge = gaugeOf(metrics.registry, 'keywright_proxies_reporting', 'Proxies that tell which part of the snapshot they have in force');
  Object.assign(gauge, { collect: () => gauge.set(link.connected ? heard().length : 0) });

  function heard(): Heartbeat[] {
    const nowMs = clock.now();
    for (const [proxy, { untilMs }] of living) if (untilMs <= nowMs) living.delete(proxy);
    return [...living.values()].map(({ heartbeat }) => heartbeat);
  }

  function tell(): void {
    for (const listener of listeners) listener();
  }

  async function read(): Promise<void> {
    if (!link.connected) return;
    try {
      const [time, flat] = (await link.send([['TIME'], ['HGETALL', heartbeatsKey]])) as [string[], string[]];
      const redisMs = Number(time[0]) * 1_000 + Math.floor(Number(time[1]) / 1_000);
      living.clear();
      for (let position = 0; position + 1 < flat.length; position += 2) {
        const heartbeat = parseHeartbeat(flat[position] ?? '', flat[position + 1] ?? '');
        if (heartbeat !== undefined && heartbeat.untilMs > redisMs)
          living.set(heartbeat.proxy, { heartbeat, untilMs: clock.now() + Math.min(heartbeatLastsMs, heartbeat.untilMs - redisMs) });
      }
      isRead = true;
      tell();
    } catch (error) {
      log.warn({ error: describeError(error) }, 'the heartbeats of the proxies could not be read; it is tried again');
    }
  }

  function later(): void {
    timer = clock.after(readEveryMs, () => {
      void read().finally(() => {
        if (!stopped) later();
      });
    });
  }

  link.subscribe(heartbeatChannel, (message) => {
    const blank = message.indexOf(' ');
    const heartbeat = parseHeartbeat(message.slice(0, blank), message.slice(blank + 1));
    if (heartbeat === undefined) return;
    living.set(heartbeat.proxy, { heartbeat, untilMs: clock.now() + heartbeatLastsMs });
    tell();
  });
  link.onConnected(() => {
    isRead = false;
    void read();
  });
  later();

  return {
    settlementOf(shard) {
      const proxies = isRead && link.connected ? heard() : [];
      if (proxies.length === 0) return 'unknown';
      return proxies.every((heartbeat) => hasShard(heartbeat, shard)) ? 'settled' : 'waiting';
    },
    onChange: (listener) => void listeners.push(listener),
    stop() {
      stopped = true;
      timer.cancel();
    },
  };
}
