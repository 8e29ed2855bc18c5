import { type ChannelTroubles, channelReportsKey, reportEveryMs, reportLastsMs } from '../../core/channel-report.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import { makeRedisScript } from '../../runtime/redis-script.ts';
import type { ChannelHealthView } from './channel-health.ts';

export interface ChannelReporter {
  stop(): Promise<void>;
}

export interface ChannelReporterOptions {
  readonly link: RedisLink;
  /** unlike that of every other process */
  readonly proxy: string;
  readonly describe: () => readonly ChannelHealthView[];
  readonly clock: Clock;
  readonly log: Log;
}

/** KEYS: reports. ARGV: proxy, how long it lasts in ms, content. */
const reportScript = makeRedisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + tonumber(ARGV[2])) .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', tonumber(ARGV[2]) * 6))
return 1
`);

/** A view has more than is told: throttles and models come and go, and what concerns one tenant is nobody else's business. */
export function toTroubles(views: readonly ChannelHealthView[]): readonly ChannelTroubles[] {
  return views.flatMap(({ id, breaker, credentials }): ChannelTroubles[] => {
    const out = credentials.flatMap(({ name, state }) =>
      state === 'credentialDead' || state === 'accountBroke' ? [{ name, trouble: state }] : [],
    );
    if (breaker === 'closed' && out.length === 0) return [];
    return [{ id, breaker: breaker === 'closed' ? 'closed' : 'open', credentials: out }];
  });
}

/** Tells the operator while something is wrong with a channel; in good times it writes nothing. Nothing waits for it. */
export function startChannelReporter({ link, proxy, describe, clock, log }: ChannelReporterOptions): ChannelReporter {
  let timer: Timer;
  let stopped = false;
  /** a report of ours may stand there */
  let hasTold = false;

  async function tell(): Promise<void> {
    if (!link.connected) return;
    const troubles = toTroubles(describe());
    if (troubles.length === 0) return withdraw();
    hasTold = true;
    await link.run([
      { script: reportScript, keyCount: 1, parameters: [channelReportsKey, proxy, String(reportLastsMs), JSON.stringify(troubles)] },
    ]);
  }

  async function withdraw(): Promise<void> {
    if (!hasTold || !link.connected) return;
    await link.send([['HDEL', channelReportsKey, proxy]]);
    hasTold = false;
  }

  function later(): void {
    timer = clock.after(reportEveryMs, () => {
      void tell()
        .catch((error: unknown) => log.debug({ event: 'channel_report_failed', err: error }, 'Redis did not take the report'))
        .finally(() => {
          if (!stopped) later();
        });
    });
  }

  later();
  return {
    async stop() {
      stopped = true;
      timer.cancel();
      await withdraw().catch(() => {});
    },
  };
}
