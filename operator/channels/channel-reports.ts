import { type ChannelTroubles, channelReportsKey, foldReports, parseChannelReport } from '../../core/channel-report.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import { describeError } from '../describe-error.ts';

/** Where the proxies tell what is wrong with the channels. */
export interface ChannelReportSource {
  /** what all of them say; undefined: nobody can be asked at this moment */
  read(): Promise<readonly ChannelTroubles[] | undefined>;
}

export function makeRedisChannelReports(link: RedisLink): ChannelReportSource {
  return {
    async read() {
      if (!link.connected) return undefined;
      const [time, flat] = (await link.send([['TIME'], ['HGETALL', channelReportsKey]])) as [string[], string[]];
      const nowMs = Number(time[0]) * 1_000 + Math.floor(Number(time[1]) / 1_000);
      return flat.flatMap((value, position) => (position % 2 === 1 ? (parseChannelReport(value, nowMs) ?? []) : []));
    },
  };
}

export interface ChannelReportsOptions {
  readonly source: ChannelReportSource | undefined;
  /** ids of all Channels */
  readonly channelIds: () => Iterable<string>;
  /** a status is to be written anew */
  readonly onChange: (channelId: string, delayMs: number) => void;
  readonly clock: Clock;
  readonly log: Log;
}

const readEveryMs = 5_000;
/** A channel that is well and ill by turns changes its status no more often. */
const restMs = 15_000;
/** Twenty status writes a second for the whole installation. */
const betweenWritesMs = 50;

const well = (id: string): ChannelTroubles => ({ id, breaker: 'closed', credentials: [] });

/** What the statuses of Channels say of their health; for the leader. At rest nothing changes, so nothing is written. */
export class ChannelReports {
  readonly #options: ChannelReportsOptions;
  readonly #shown = new Map<string, { readonly troubles: ChannelTroubles; readonly atMs: number }>();
  #isRead = false;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: ChannelReportsOptions) {
    this.#options = options;
    if (options.source !== undefined) this.#later(options.source, 0);
  }

  /** Undefined: nobody has told yet. */
  of(channelId: string): ChannelTroubles | undefined {
    return this.#isRead ? (this.#shown.get(channelId)?.troubles ?? well(channelId)) : undefined;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #later(source: ChannelReportSource, delayMs = readEveryMs): void {
    this.#timer = this.#options.clock.after(delayMs, () => {
      void this.#look(source).finally(() => {
        if (!this.#stopped) this.#later(source);
      });
    });
  }

  async #look(source: ChannelReportSource): Promise<void> {
    const { log, onChange } = this.#options;
    try {
      const reports = await source.read();
      // what is not known is not over
      if (reports === undefined) return;
      const changed = [...this.#take(foldReports(reports))];
      for (const [position, id] of changed.entries()) onChange(id, position * betweenWritesMs);
    } catch (error) {
      log.warn({ error: describeError(error) }, 'what the proxies tell of the channels could not be read; it is tried again');
    }
  }

  /** Gives the ids of those that are shown otherwise now. */
  #take(reports: ReadonlyMap<string, ChannelTroubles>): Set<string> {
    const { clock, channelIds } = this.#options;
    const nowMs = clock.now();
    const there = new Set(channelIds());
    const changed = new Set(this.#isRead ? [] : there);
    this.#isRead = true;
    for (const id of this.#shown.keys()) if (!there.has(id)) this.#shown.delete(id);
    for (const id of there) {
      const known = this.#shown.get(id);
      const next = reports.get(id) ?? well(id);
      if (JSON.stringify(known?.troubles ?? well(id)) === JSON.stringify(next)) continue;
      if (known !== undefined && nowMs - known.atMs < restMs) continue;
      this.#shown.set(id, { troubles: next, atMs: nowMs });
      changed.add(id);
    }
    return changed;
  }
}
