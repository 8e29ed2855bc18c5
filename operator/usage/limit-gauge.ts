import type { Registry } from 'prom-client';
import { channelHolder } from '../../core/hash-tag.ts';
import { allNamedWindows } from '../../core/limit-windows.ts';
import type { KeyLimits } from '../../core/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { describeError } from '../describe-error.ts';
import { gaugeOf, type Series, showAtScrape } from '../metric.ts';
import type { LimitBoard, LimitQuestion, LimitReading } from './limit-board.ts';

export interface LimitGaugeOptions {
  readonly board: LimitBoard;
  /** the limits of a key that are in force; undefined: none, or there is no such key */
  readonly limitsOf: (keyId: string) => KeyLimits | undefined;
  /** every Channel that has limits in force */
  readonly limitedChannels: () => Iterable<{ readonly id: string; readonly limits: KeyLimits }>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
  /** of keys, and as many of Channels */
  readonly maxKeySeries: number;
}

/** Whoever scrapes at the usual 15 s sees what is true then; several who scrape cost no more. */
const betweenLooksMs = 10_000;
/** A scrape waits so long for a look; one that takes longer is for the next scrape … */
const patienceMs = 2_000;
/** … if that comes soon enough: what is shown is at most so old. */
const staleMs = 30_000;
/** A key of which nothing counts any more is shown for so long after its last use. */
const recentMs = 600_000;
/** Questions that are asked together; between them the rest of this process has its turn. */
const mostTogether = 64;

/** A key or Channel with limits. */
interface Subject {
  readonly id: string;
  readonly question: LimitQuestion;
  /** those of the windows, then that of the slots */
  readonly limits: readonly { readonly name: string; readonly limit: number }[];
}

/** Which label names it, and what is to be done when nothing of it counts any more. */
interface Kind {
  readonly label: 'key' | 'channel';
  readonly onIdle?: (id: string) => void;
}

interface Seen {
  readonly keys: readonly Series[];
  readonly channels: readonly Series[];
}

const nothing: Seen = { keys: [], channels: [] };

/**
 * How much of each limit is used: of keys that were used lately, and of Channels. Looked at when somebody scrapes, so that it costs nothing where nobody does. Of what cannot be read nothing
 * is shown, which is not the same as nothing used.
 */
export class LimitGauge {
  readonly #options: LimitGaugeOptions;
  /** key → when it was used last; in the order in which they came */
  readonly #used = new Map<string, number>();
  #seen = nothing;
  #seenMs = -Infinity;
  #lookedMs = -Infinity;
  #looking: Promise<void> | undefined;
  #failed = false;
  #stopped = false;

  constructor(options: LimitGaugeOptions) {
    this.#options = options;
    const { registry } = options.metrics;
    const ofKeys = gaugeOf(registry, 'keywright_limit_utilization_ratio', 'Used share of each limit of the keys that were used lately', [
      'key',
      'limit',
    ]);
    const ofChannels = gaugeOf(registry, 'keywright_channel_limit_utilization_ratio', 'Used share of each limit of the Channels', [
      'channel',
      'limit',
    ]);
    showAtScrape(ofKeys, () => this.#show('keys'));
    showAtScrape(ofChannels, () => this.#show('channels'));
  }

  /** This key was used: it is shown from now on. Those beyond the bound are not, until others have gone. */
  note(keyId: string): void {
    const { limitsOf, maxKeySeries, clock } = this.#options;
    const isNews = !this.#used.has(keyId);
    if (isNews && (this.#used.size >= maxKeySeries || toSubject(keyId, keyId, limitsOf(keyId)) === undefined)) return;
    this.#used.set(keyId, clock.now());
  }

  /** Nothing is shown from now on, by this one. */
  stop(): void {
    this.#stopped = true;
    this.#seen = nothing;
    this.#used.clear();
  }

  async #show(of: keyof Seen): Promise<readonly Series[]> {
    const { board, clock } = this.#options;
    if (this.#stopped || !board.connected) return [];
    // either way, since a clock may be set back
    if (Math.abs(clock.now() - this.#lookedMs) >= betweenLooksMs) this.#looking ??= this.#look();
    if (this.#looking !== undefined) await within(this.#looking, clock);
    return !this.#stopped && Math.abs(clock.now() - this.#seenMs) < staleMs ? this.#seen[of] : [];
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { clock, log } = this.#options;
    this.#lookedMs = clock.now();
    try {
      const keys = await this.#read(this.#keys(), { label: 'key', onIdle: (id) => this.#forget(id) });
      this.#seen = { keys, channels: await this.#read(this.#channels(), { label: 'channel' }) };
      this.#seenMs = clock.now();
      if (this.#failed) log.info({ event: 'limits_read_again' }, 'how much of the limits is used can be read again');
      this.#failed = false;
    } catch (error) {
      this.#seen = nothing;
      if (!this.#failed) log.warn({ event: 'limits_unread', error: describeError(error) }, 'how much of the limits is used cannot be read');
      this.#failed = true;
    }
    this.#looking = undefined;
  }

  *#keys(): Iterable<Subject> {
    for (const id of this.#used.keys()) {
      const subject = toSubject(id, id, this.#options.limitsOf(id));
      if (subject === undefined) this.#used.delete(id);
      else yield subject;
    }
  }

  *#channels(): Iterable<Subject> {
    for (const { id, limits } of this.#options.limitedChannels()) {
      const subject = toSubject(id, channelHolder(id), limits);
      if (subject !== undefined) yield subject;
    }
  }

  async #read(subjects: Iterable<Subject>, { label, onIdle }: Kind): Promise<readonly Series[]> {
    const { board, maxKeySeries } = this.#options;
    const series: Series[] = [];
    for (const batch of toBatches(subjects, maxKeySeries)) {
      const readings = await board.read(batch.map(({ question }) => question));
      for (const [index, subject] of batch.entries()) {
        const figures = toFigures(subject, readings[index]);
        for (const { name, used, limit } of figures)
          series.push({ labels: { [label]: subject.id, limit: name }, value: toShare(used, limit) });
        if (figures.length > 0 && figures.every(({ used }) => used === 0)) onIdle?.(subject.id);
      }
      // a board that answers from memory would else be asked everything in one turn
      await new Promise((resolve) => setImmediate(resolve));
    }
    return series;
  }

  #forget(id: string): void {
    if (this.#options.clock.now() - (this.#used.get(id) ?? 0) >= recentMs) this.#used.delete(id);
  }
}

function toSubject(id: string, holder: string, limits: KeyLimits | undefined): Subject | undefined {
  if (limits === undefined) return undefined;
  const windows = allNamedWindows(limits);
  const { concurrency } = limits;
  if (windows.length === 0 && concurrency === undefined) return undefined;
  const ofSlots = concurrency === undefined ? [] : [{ name: 'concurrency', limit: concurrency }];
  return { id, question: { holder, windows, slots: ofSlots.length > 0 }, limits: [...windows, ...ofSlots] };
}

/** So many together, and of all no more than so many series. */
function* toBatches(subjects: Iterable<Subject>, maxSeries: number): Iterable<readonly Subject[]> {
  let batch: Subject[] = [];
  let series = 0;
  for (const subject of subjects) {
    series += subject.limits.length;
    if (series > maxSeries) break;
    batch.push(subject);
    if (batch.length < mostTogether) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** None where it could not be read. */
function toFigures({ limits }: Subject, reading: LimitReading | undefined): readonly { name: string; limit: number; used: number }[] {
  if (reading === undefined) return [];
  return limits.map(({ name, limit }, position) => ({ name, limit, used: reading.used[position] ?? reading.inFlight }));
}

/** Above 1 where more was used than was reserved, or nothing is refused (`mode: Shadow`). Of a limit of 0 nothing is ever free. */
function toShare(used: number, limit: number): number {
  return limit === 0 ? 1 : used / limit;
}

async function within(work: Promise<void>, clock: Clock): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = clock.after(patienceMs, late.resolve);
  await Promise.race([work, late.promise]);
  timer.cancel();
}
