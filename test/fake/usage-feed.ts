import { parseRestoreQuestion, toRestoreQuestion, type RestoreQuestion } from '../../core/budget-restore.ts';
import { tagOf } from '../../core/hash-tag.ts';
import type { UsageEvent } from '../../core/usage-event.ts';
import { compareStreamIds, firstStreamId } from '../../core/usage-stream.ts';
import { emptyUsage } from '../../core/usage.ts';
import type { BudgetBoard, KnownSpend } from '../../operator/usage/budget-board.ts';
import type { LimitBoard } from '../../operator/usage/limit-board.ts';
import type { UsageEntry, UsageSource } from '../../operator/usage/usage-source.ts';
import type { StoredBudgets } from '../../runtime/budget-restore.ts';

interface Budgets {
  epoch: string;
  answeredEpoch: string;
  handledReset: string;
  readonly spent: Map<string, number>;
  reservedNanoUsd: number;
}

/** The Streams and the budgets of a Redis, in memory, with faults. */
export class FakeUsageFeed {
  connected = true;
  connections = 1;
  epoch = 'epoch-1';
  readonly streams = new Map<string, UsageEntry[]>();
  readonly acknowledged = new Map<string, string>();
  readonly budgets = new Map<string, Budgets>();
  /** keys whose master is away */
  readonly away = new Set<string>();
  /** what was done, in order */
  readonly calls: string[] = [];
  readonly #listeners = new Set<(question: RestoreQuestion) => void>();
  #requests = 0;

  /** A request that was settled at a moment by the store's clock. */
  settle(keyId: string, atMs: number, change: Partial<UsageEvent> = {}): UsageEvent {
    this.#requests += 1;
    const event: UsageEvent = {
      requestId: `r-${this.#requests}`,
      keyId,
      dialect: 'OpenAI',
      status: 200,
      usage: { ...emptyUsage, inputTokens: 10, outputTokens: 5 },
      durationMs: 1,
      ...change,
    };
    const stream = this.streams.get(tagOf(keyId)) ?? [];
    this.streams.set(tagOf(keyId), stream);
    const number = stream.filter(({ id }) => id.startsWith(`${atMs}-`)).length;
    stream.push({ id: `${atMs}-${number}`, event });
    return event;
  }

  /** Spends money of one window, as a settlement does. */
  spend(keyId: string, window: string, nanoUsd: number): void {
    const { spent } = this.of(keyId);
    spent.set(window, (spent.get(window) ?? 0) + nanoUsd);
  }

  spentOf(keyId: string, window: string): number {
    return this.budgets.get(keyId)?.spent.get(window) ?? 0;
  }

  of(keyId: string): Budgets {
    const known = this.budgets.get(keyId) ?? {
      epoch: this.epoch,
      answeredEpoch: this.epoch,
      handledReset: '',
      spent: new Map(),
      reservedNanoUsd: 0,
    };
    this.budgets.set(keyId, known);
    return known;
  }

  /** A Redis without its data comes back. */
  lose(): void {
    this.streams.clear();
    this.acknowledged.clear();
    this.budgets.clear();
    this.connections += 1;
    this.epoch = `epoch-${this.connections}`;
  }

  ask(keyId: string): void {
    const question = parseRestoreQuestion(toRestoreQuestion({ keyId, epoch: this.epoch }));
    if (question === undefined) throw new TypeError('no question');
    for (const listener of this.#listeners) listener(question);
  }

  /** `holder limit` → what counts of it */
  readonly used = new Map<string, number>();

  readonly source: UsageSource = makeSource(this);
  readonly limits: LimitBoard = makeLimits(this);
  readonly board: BudgetBoard = makeBoard(this, this.#listeners);
}

function makeSource(feed: FakeUsageFeed): UsageSource {
  return {
    get connected() {
      return feed.connected;
    },
    get connections() {
      return feed.connections;
    },
    unread: 0,
    async open() {
      feed.calls.push('open');
      const places = [...feed.streams].map(([tag, stream]) => {
        const acknowledged = feed.acknowledged.get(tag) ?? firstStreamId;
        return { tag, acknowledged, entries: stream.filter(({ id }) => compareStreamIds(id, acknowledged) <= 0) };
      });
      return { places, isWhole: true };
    },
    async read(positions) {
      const news = [...feed.streams].map(([tag, stream]) => ({
        tag,
        entries: stream.filter(({ id }) => compareStreamIds(id, positions.get(tag) ?? firstStreamId) > 0).slice(0, 3),
      }));
      return news.filter(({ entries }) => entries.length > 0);
    },
    async acknowledge(places) {
      feed.calls.push('acknowledge');
      for (const [tag, id] of places) feed.acknowledged.set(tag, id);
      return places;
    },
    async lastIds() {
      const ids = [...feed.streams].flatMap(([tag, stream]) => stream.slice(-1).map(({ id }): [string, string] => [tag, id]));
      return { ids: new Map(ids), isWhole: true };
    },
  };
}

function makeLimits(feed: FakeUsageFeed): LimitBoard {
  return {
    get connected() {
      return feed.connected;
    },
    read: async (questions) =>
      questions.map(({ holder, windows, slots }) => {
        if (feed.away.has(holder)) return undefined;
        const of = (limit: string): number => feed.used.get(`${holder} ${limit}`) ?? 0;
        return { used: windows.map(({ name }) => of(name)), inFlight: slots ? of('concurrency') : 0 };
      }),
  };
}

function makeBoard(feed: FakeUsageFeed, listeners: Set<(question: RestoreQuestion) => void>): BudgetBoard {
  return {
    get connected() {
      return feed.connected;
    },
    async read(keyIds) {
      feed.calls.push(`read ${keyIds.length}`);
      return keyIds.map((keyId): PromiseSettledResult<StoredBudgets> => {
        if (feed.away.has(keyId)) return { status: 'rejected', reason: new Error('CLUSTERDOWN') };
        const { epoch = '', answeredEpoch = '', spent, reservedNanoUsd = 0 } = feed.budgets.get(keyId) ?? {};
        const windows = [...(spent ?? [])].map(([window, spentNanoUsd]) => ({ window, spentNanoUsd, reservedNanoUsd }));
        return { status: 'fulfilled', value: { epoch, answeredEpoch, windows } };
      });
    },
    async raise(known: readonly KnownSpend[]) {
      return known.map(({ keyId, spent, answers }): PromiseSettledResult<unknown> => {
        if (feed.away.has(keyId)) return { status: 'rejected', reason: new Error('CLUSTERDOWN') };
        feed.calls.push(`raise ${keyId}`);
        const budgets = feed.budgets.get(keyId) ?? { ...feed.of(keyId), epoch: '', answeredEpoch: '' };
        feed.budgets.set(keyId, budgets);
        for (const [window, nanoUsd] of spent) budgets.spent.set(window, Math.max(nanoUsd, budgets.spent.get(window) ?? 0));
        if (answers !== undefined) budgets.answeredEpoch = answers;
        return { status: 'fulfilled', value: 1 };
      });
    },
    async reset({ keyId, asked, windows }) {
      if (feed.away.has(keyId)) throw new Error('CLUSTERDOWN');
      const budgets = feed.budgets.get(keyId);
      if (budgets === undefined || budgets.handledReset === asked) return new Map();
      feed.calls.push(`reset ${keyId} ${windows.join(' ')}`);
      budgets.handledReset = asked;
      const before = new Map([...budgets.spent].filter(([window]) => windows.includes(window)));
      for (const window of before.keys()) budgets.spent.set(window, 0);
      return before;
    },
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
