import type { Registry } from 'prom-client';
import type { VirtualKey, VirtualKeyUsage } from '../../core/resources.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { describeError } from '../describe-error.ts';
import type { Notice } from '../translate/problem.ts';
import type { BudgetBoard } from './budget-board.ts';
import type { BudgetNotice } from './budget-notices.ts';
import { BudgetResets } from './budget-resets.ts';
import { CheckpointWriter } from './checkpoint-writer.ts';
import type { LimitBoard } from './limit-board.ts';
import { answerRestores } from './restore-answers.ts';
import { UsageDisplay } from './usage-display.ts';
import { UsageLedger } from './usage-ledger.ts';
import { makeUsageMeters, type UsageMeters } from './usage-meters.ts';
import type { UsageStore } from './usage-secrets.ts';
import type { UsageSource } from './usage-source.ts';

/** Where usage comes from and where budgets are counted: Redis, or the counters of this process. */
export interface UsageFeed {
  readonly source: UsageSource;
  readonly board: BudgetBoard;
  /** where limits are counted; default: nobody tells */
  readonly limits?: LimitBoard;
}

/** What an operator is told about usage. */
export interface UsageSettings {
  readonly feed: UsageFeed;
  /** default: usage Secrets */
  readonly store?: UsageStore;
  /** of so many keys there are series of their own */
  readonly maxKeySeries: number;
  readonly pace?: Partial<UsagePace>;
  /** at the end what is not written is written, due or not: nobody else can count it */
  readonly flushes?: boolean;
}

export interface UsageKeeperOptions
  extends Required<Pick<UsageSettings, 'feed' | 'store' | 'maxKeySeries'>>, Pick<UsageSettings, 'pace' | 'flushes'> {
  readonly bucketOf: (keyId: string) => number;
  readonly virtualKeys: () => Iterable<VirtualKey>;
  readonly findKey: (keyId: string) => VirtualKey | undefined;
  readonly isKnown: (keyId: string) => boolean;
  readonly tell: (virtualKey: VirtualKey, notice: Notice) => void;
  /** the status of a key is to be written anew */
  readonly onChange: (keyId: string, delayMs: number) => void;
  /** this key was used just now, or within the last day as the first look shows; default: nobody wants to know */
  readonly onUse?: (keyId: string) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
}

export interface UsagePace {
  /** between two looks at the Streams */
  readonly readMs: number;
  /** between two writes of one checkpoint */
  readonly checkpointMs: number;
  /** between two writes of one status */
  readonly statusMs: number;
}

const defaultPace: UsagePace = { readMs: 1_000, checkpointMs: 60_000, statusMs: 300_000 };
/** Annotations are looked at more rarely than Streams: there may be thousands of keys. */
const resetEveryMs = 5_000;
/** What was kept for the sake of repetitions is let go of some time after the last one. */
const letGoEveryMs = 660_000;
const dayMs = 86_400_000;
/** A leader that is far behind takes turns with the rest of its work. */
const mostReads = 40;

/** The leader's account of what every key uses: reads the Streams, keeps checkpoints, answers who has lost what was spent, resets, warns, and shows. */
export class UsageKeeper {
  readonly #options: UsageKeeperOptions;
  readonly #pace: UsagePace;
  readonly #ledger: UsageLedger;
  readonly #writer: CheckpointWriter;
  readonly #display: UsageDisplay;
  readonly #resets: BudgetResets;
  readonly #meters: UsageMeters;
  #answers: { stop(): void } | undefined;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;
  #loaded = false;
  #opened = false;
  #unread = false;
  /** connections of the source that we have seen */
  #connections = 0;
  #nextResetMs = 0;
  #nextLetGoMs: number;

  constructor(options: UsageKeeperOptions) {
    this.#options = options;
    const { clock, feed, store, metrics, findKey, onChange } = options;
    this.#pace = { ...defaultPace, ...options.pace };
    this.#ledger = new UsageLedger({
      buckets: store.buckets,
      bucketOf: options.bucketOf,
      onChange: (keyId, isUse) => {
        this.#display.mark(keyId);
        if (!isUse) return;
        this.#writer.touch(keyId);
        options.onUse?.(keyId);
      },
    });
    const usageOf = (keyId: string) => this.#ledger.get(keyId);
    this.#writer = new CheckpointWriter({
      ...options,
      ledger: this.#ledger,
      board: feed.board,
      everyMs: this.#pace.checkpointMs,
      tell: (virtualKey, notice) => this.#tellNotice(virtualKey, notice),
    });
    this.#display = new UsageDisplay({
      usageOf,
      isAwaited: (keyId) => this.#writer.isTouched(keyId),
      findKey,
      onChange,
      clock,
      everyMs: this.#pace.statusMs,
    });
    this.#resets = new BudgetResets({
      ...options,
      board: feed.board,
      usageOf,
      change: (keyId, change) => {
        this.#ledger.change(keyId, change);
        this.#writer.touch(keyId);
        this.#meters.resets.inc();
      },
    });
    this.#meters = makeUsageMeters({
      ...options,
      registry: metrics.registry,
      ledger: this.#ledger,
      now: clock.now,
      unreadable: () => this.#writer.unreadable,
      lag: () => this.#ledger.lag,
      unread: () => feed.source.unread,
    });
    this.#nextLetGoMs = clock.now() + letGoEveryMs;
    this.#later(0);
  }

  /** What the status of a key is to say of its usage; undefined: what it says already. */
  statusOf(keyId: string): VirtualKeyUsage | undefined {
    return this.#display.of(keyId);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
    if (this.#options.flushes === true) await this.#flush();
    this.#answers?.stop();
    this.#meters.stop();
  }

  /** Also of one that was stopped before it had begun. */
  async #flush(): Promise<void> {
    try {
      if (!this.#loaded) await this.#load();
      await this.#read();
      await this.#writer.round({ all: true });
    } catch (error) {
      this.#options.log.error({ error: describeError(error) }, 'what was used last could not be written down');
    }
  }

  #later(delayMs: number): void {
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#running = this.#round().finally(() => {
        if (!this.#stopped) this.#later(this.#pace.readMs);
      });
    });
  }

  /** Each part by itself: without Redis what is known is still written, without the API server it is still read. */
  async #round(): Promise<void> {
    if (!this.#loaded && !(await this.#attempt('usage could not be loaded', () => this.#load()))) return;
    await this.#attempt('the usage Streams could not be read', () => this.#read());
    await this.#attempt('a budget could not be reset', () => this.#reset());
    await this.#attempt('usage could not be written down', () => this.#writer.round());
    await this.#attempt('what is written down could not be acknowledged', () => this.#acknowledge());
    this.#display.round();
  }

  /** @returns whether it was done */
  async #attempt(trouble: string, work: () => Promise<void>): Promise<boolean> {
    if (this.#stopped) return false;
    try {
      await work();
      return true;
    } catch (error) {
      this.#options.log.warn({ error: describeError(error) }, `${trouble}; it is tried again`);
      return false;
    }
  }

  async #load(): Promise<void> {
    const { feed, clock, log } = this.#options;
    await this.#writer.load();
    this.#loaded = true;
    // What the leader before us did not live to tell, of shares reached or in statuses, is found by looking at all once.
    let seen = 0;
    for (const { id, lastUsedMs } of this.#ledger.keys()) {
      this.#writer.touch(id);
      this.#display.mark(id);
      if (clock.now() - lastUsedMs < dayMs) this.#options.onUse?.(id);
      if ((seen += 1) % 250 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    this.#answers = answerRestores({
      board: feed.board,
      usageOf: (keyId) => this.#ledger.get(keyId),
      onAnswered: (keyIds) => {
        this.#meters.restored.inc(keyIds.length);
        for (const keyId of keyIds) this.#writer.touch(keyId);
      },
      clock,
      log,
    });
    log.info({ event: 'usage_loaded', keys: this.#ledger.size }, 'usage is counted from the checkpoints on');
  }

  async #read(): Promise<void> {
    const { source, board } = this.#options.feed;
    for (const keyId of board.takeSpending?.() ?? []) this.#writer.touch(keyId);
    if (!source.connected) return;
    if (!this.#opened) {
      const { places, isWhole } = await source.open(this.#ledger.positions);
      for (const place of places) this.#ledger.open(place);
      this.#opened = isWhole;
    }
    await this.#lookAnew();
    for (let reads = 0; reads < mostReads; reads += 1) {
      const news = await source.read(this.#ledger.positions);
      this.#noteUnread(source.unread);
      if (news.length === 0) return;
      for (const entries of news) for (const [outcome, count] of this.#ledger.take(entries)) this.#meters.entries.inc({ outcome }, count);
    }
  }

  #noteUnread(unread: number): void {
    if (unread > 0 === this.#unread) return;
    this.#unread = unread > 0;
    const { log } = this.#options;
    if (this.#unread)
      log.warn(
        { event: 'usage_partly_unread', tags: unread },
        'usage of the keys on a part of Redis cannot be read; that of the others is counted',
      );
    else log.info({ event: 'usage_read_again' }, 'usage of all keys is read again');
  }

  /** After each connection: it may be to another Redis, or to one that has lost its Streams. */
  async #lookAnew(): Promise<void> {
    const { log, feed } = this.#options;
    const { connections } = feed.source;
    if (connections === this.#connections) return;
    const { ids, isWhole } = await feed.source.lastIds();
    const tags = this.#ledger.findRestarted(ids);
    if (tags.length > 0)
      log.warn({ event: 'usage_streams_lost', tags }, 'usage Streams have begun anew: what was not read of the former ones is lost');
    if (isWhole) this.#connections = connections;
  }

  async #reset(): Promise<void> {
    const nowMs = this.#options.clock.now();
    if (nowMs < this.#nextResetMs) return;
    this.#nextResetMs = nowMs + resetEveryMs;
    await this.#resets.round();
  }

  async #acknowledge(): Promise<void> {
    const { feed, clock } = this.#options;
    if (!feed.source.connected) return;
    const places = this.#ledger.toAcknowledge();
    if (places.size > 0) {
      this.#ledger.acknowledged(await feed.source.acknowledge(places));
      this.#nextLetGoMs = clock.now() + letGoEveryMs;
    } else if (clock.now() >= this.#nextLetGoMs) {
      this.#nextLetGoMs = Infinity;
      await feed.source.acknowledge(this.#ledger.places);
    }
  }

  #tellNotice(virtualKey: VirtualKey, { notice, period, share, spentNanoUsd, limitNanoUsd }: BudgetNotice): void {
    const { tell, log } = this.#options;
    const { namespace = '', name } = virtualKey.metadata;
    tell(virtualKey, notice);
    this.#meters.notices.inc({ reason: notice.reason });
    log.warn(
      {
        audit: true,
        type: notice.reason,
        key: `${namespace}/${name}`,
        actor: null,
        source: 'usage',
        period,
        share,
        spentNanoUsd,
        limitNanoUsd,
      },
      'a share of a budget was reached',
    );
  }
}
