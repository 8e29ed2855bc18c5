import { isPastBudgetField } from '../../core/budget.ts';
import { dropPastWindows, type KeyUsage, raiseSpent, takeSpent } from '../../core/key-usage.ts';
import type { VirtualKey } from '../../core/resources.ts';
import type { StoredBudgets } from '../../runtime/budget-restore.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { describeError } from '../describe-error.ts';
import { toBackoffMs } from '../queue/backoff.ts';
import type { BudgetBoard, KnownSpend } from './budget-board.ts';
import { type BudgetNotice, findBudgetNotices, toWarned } from './budget-notices.ts';
import { toKnownSpend } from './restore-answers.ts';
import type { UsageBucket } from './usage-bucket.ts';
import type { UsageLedger } from './usage-ledger.ts';
import type { UsageStore } from './usage-secrets.ts';

export interface CheckpointWriterOptions {
  readonly ledger: UsageLedger;
  readonly board: BudgetBoard;
  readonly store: UsageStore;
  readonly findKey: (keyId: string) => VirtualKey | undefined;
  /** whether anything is left of a key, be it a record of its end */
  readonly isKnown: (keyId: string) => boolean;
  /** a share of a budget was reached, and that this was told is written down */
  readonly tell: (virtualKey: VirtualKey, notice: BudgetNotice) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** between two writes of one bucket */
  readonly everyMs: number;
}

interface Plan {
  readonly bucket: UsageBucket;
  /** keys whose budgets are to be looked at */
  readonly touched: Set<string>;
  dueMs: number;
  failures: number;
  /** told when what they say is written */
  notices: { readonly virtualKey: VirtualKey; readonly notice: BudgetNotice }[];
}

/** About one write a second in all; a few more while everything is due at once. */
const mostPerRound = 2;
const backoff = { baseMs: 2_000, maximumMs: 60_000 };
/** A key that is gone without a trace is kept so long after its last use. */
const strayMs = 86_400_000;

/**
 * Looks at the budgets of keys that were used and writes the buckets that have changed, each at most once in `everyMs`. A bucket of which nothing changed is not written. Who is
 * told that a share of a budget was reached is told after that was written down, so that the next leader does not tell it again.
 */
export class CheckpointWriter {
  readonly #options: CheckpointWriterOptions;
  readonly #plans: readonly Plan[];
  /** those that cannot be read, with the reason: they are not written over */
  #unreadable: ReadonlyMap<number, string> = new Map();

  constructor(options: CheckpointWriterOptions) {
    this.#options = options;
    this.#plans = options.ledger.buckets.map((bucket) => ({ bucket, touched: new Set(), dueMs: 0, failures: 0, notices: [] }));
  }

  get unreadable(): number {
    return this.#unreadable.size;
  }

  /** Reads what is stored into the ledger. Of a bucket that could not be read before, and can be now, it is not too late. */
  async load(): Promise<void> {
    const { store, ledger, log } = this.#options;
    const { checkpoints, unreadable } = await store.load();
    for (const checkpoint of checkpoints) ledger.buckets[checkpoint.bucket]?.adopt(checkpoint);
    for (const [bucket, reason] of unreadable)
      if (!this.#unreadable.has(bucket))
        log.error(
          { event: 'usage_unreadable', bucket, reason },
          'a usage document cannot be read and is not written over; restore it or delete it',
        );
    this.#unreadable = unreadable;
  }

  /** The budgets of this key are to be looked at with the next write of its bucket. */
  touch(keyId: string): void {
    this.#plans[this.#options.ledger.bucketOf(keyId).index]?.touched.add(keyId);
  }

  /** whether they are yet to be looked at */
  isTouched(keyId: string): boolean {
    return this.#plans[this.#options.ledger.bucketOf(keyId).index]?.touched.has(keyId) === true;
  }

  /** Does what is due; `all`: everything, due or not. */
  async round({ all = false } = {}): Promise<void> {
    const nowMs = this.#options.clock.now();
    const due = this.#plans.filter(({ bucket, touched, dueMs }) => (all || dueMs <= nowMs) && (bucket.changed || touched.size > 0));
    const chosen = due.toSorted((left, right) => left.dueMs - right.dueMs).slice(0, all ? due.length : mostPerRound);
    for (const plan of chosen) await this.#work(plan);
  }

  async #work(plan: Plan): Promise<void> {
    const { clock, everyMs, log, random } = this.#options;
    try {
      await this.#lookAtBudgets(plan);
      if (plan.bucket.changed) await this.#write(plan);
      plan.failures = 0;
      plan.dueMs = clock.now() + everyMs;
    } catch (error) {
      plan.dueMs = clock.now() + toBackoffMs({ attempt: plan.failures, ...backoff, random });
      plan.failures += 1;
      log.warn({ bucket: plan.bucket.index, error: describeError(error) }, 'usage could not be written down; it is tried again');
    }
  }

  /** Redis may be away, or a part of it: then what is known already is written, and the keys are looked at later. */
  async #lookAtBudgets(plan: Plan): Promise<void> {
    const { board, findKey, ledger, clock } = this.#options;
    if (!board.connected) return;
    const keyIds = [...plan.touched];
    plan.touched.clear();
    const budgeted = keyIds.filter((keyId) => (findKey(keyId)?.spec.budgets?.length ?? 0) > 0);
    try {
      const results = await board.read(budgeted);
      const lost: KnownSpend[] = [];
      for (const [index, keyId] of budgeted.entries()) {
        const result = results[index];
        if (result?.status === 'fulfilled') this.#takeBudgets(plan, { keyId, stored: result.value, lost });
        else plan.touched.add(keyId);
      }
      this.#complain(plan, results);
      const raised = await board.raise(lost);
      for (const [index, { keyId }] of lost.entries()) if (raised[index]?.status !== 'fulfilled') plan.touched.add(keyId);
      this.#complain(plan, raised);
    } catch (error) {
      for (const keyId of keyIds) plan.touched.add(keyId);
      throw error;
    }
    for (const keyId of keyIds) ledger.change(keyId, (known) => dropPastWindows(known, clock.now()));
  }

  #complain({ bucket }: Plan, results: readonly PromiseSettledResult<unknown>[]): void {
    const failed = results.filter((result) => result.status === 'rejected');
    if (failed.length === 0) return;
    const error = describeError(failed[0]?.reason);
    this.#options.log.warn(
      { bucket: bucket.index, keys: failed.length, error },
      'budgets of some keys could not be read; they are looked at again',
    );
  }

  #takeBudgets(plan: Plan, { keyId, stored, lost }: { keyId: string; stored: StoredBudgets; lost: KnownSpend[] }): void {
    const { ledger, clock, findKey } = this.#options;
    const { epoch, answeredEpoch, windows } = stored;
    const counted = windows.filter(({ window }) => !isPastBudgetField(window, clock.now()));
    const read = new Map(counted.map(({ window, spentNanoUsd }) => [window, Math.max(0, spentNanoUsd)]));
    const isWhole = epoch !== '' && epoch === answeredEpoch;
    // It counts on without what we know: it may have asked when nobody heard.
    if (!isWhole && epoch !== '') lost.push({ keyId, answers: epoch, spent: toKnownSpend(ledger.get(keyId), clock.now()) });
    ledger.change(keyId, (known) => (isWhole ? takeSpent(known, read) : raiseSpent(known, read)));
    // What is held will be spent without any further entry to tell us.
    if (windows.some(({ reservedNanoUsd }) => reservedNanoUsd > 0)) plan.touched.add(keyId);
    const virtualKey = findKey(keyId);
    const usage = ledger.get(keyId);
    if (virtualKey !== undefined && usage !== undefined) this.#notice(plan, virtualKey, usage);
  }

  #notice(plan: Plan, virtualKey: VirtualKey, usage: KeyUsage): void {
    const { ledger, clock } = this.#options;
    const notices = findBudgetNotices(virtualKey.spec.budgets ?? [], usage, clock.now());
    ledger.change(usage.id, (known) => toWarned(known, notices));
    plan.notices.push(...notices.map((notice) => ({ virtualKey, notice })));
  }

  async #write({ bucket, notices }: Plan): Promise<void> {
    const { store, clock, tell } = this.#options;
    if (this.#unreadable.has(bucket.index)) await this.load();
    if (this.#unreadable.has(bucket.index)) return;
    this.#forgetStrays(bucket);
    const told = notices.length;
    const checkpoint = bucket.begin(clock.now());
    let isWritten = false;
    try {
      await store.write(checkpoint, (theirs) => bucket.adopt(theirs));
      isWritten = true;
    } finally {
      bucket.end(isWritten);
    }
    for (const { virtualKey, notice } of notices.splice(0, told)) tell(virtualKey, notice);
  }

  #forgetStrays(bucket: UsageBucket): void {
    const { isKnown, clock } = this.#options;
    const oldMs = clock.now() - strayMs;
    for (const { id, lastUsedMs } of bucket.keys()) if (lastUsedMs < oldMs && !isKnown(id)) bucket.forget(id);
  }
}
