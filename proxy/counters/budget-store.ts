import { type BudgetSpend, budgetWindowId, isPastBudgetField, parseBudgetField, toBudgetField } from '../../core/budget.ts';
import type { Admission, BudgetLimit, MoneyReservation } from './counters.ts';

/** What one budget of an admission stands at. */
export interface BudgetFigures {
  readonly windowId: number;
  readonly spentNanoUsd: number;
  readonly reservedNanoUsd: number;
}

/** Positions in the admission's list of budgets. */
export interface BudgetCheck {
  readonly refusing: readonly number[];
  readonly shadowRefusals: readonly number[];
}

/** A reservation that nobody settled has become spend. */
export interface LapsedReservation {
  readonly keyId: string;
  readonly requestId: string;
  readonly costNanoUsd: number;
}

export type OnLapsed = (lapsed: LapsedReservation) => void;

interface BudgetWindow {
  spent: number;
  reserved: number;
}

/** The reservation of one request. It is its own marker: settling removes it, and without it nothing happens. */
interface HeldMoney {
  /** the windows of the moment of admission */
  readonly fields: readonly string[];
  readonly floor: number;
  /** of a lapsed one: the end of its tombstone */
  untilMs: number;
  /** still reserved */
  left: number;
  /** spent already: what has flowed so far */
  booked: number;
}

interface KeyMoney {
  readonly windows: Map<string, BudgetWindow>;
  /** those whose deadline is next stand in front, because a renewed one goes to the end */
  readonly held: Map<string, HeldMoney>;
  readonly lapsed: Map<string, HeldMoney>;
}

/** How long a settlement that comes after the deadline still books the difference. */
export const tombstoneMs = 86_400_000;
/** Keys looked at per admission, for what nobody asks about any more. */
const sweptPerAdmission = 2;

/**
 * Spend and reservations of one process: budget.lua in TypeScript, synchronous. Integer nano-dollars. At its deadline a reservation turns into spend (what has flowed so far,
 * at least the estimated input), so that nothing is free because somebody died.
 */
export class BudgetStore {
  readonly #keys = new Map<string, KeyMoney>();
  readonly #onLapsed: OnLapsed;
  #sweep = this.#keys.keys();

  constructor(onLapsed: OnLapsed = () => {}) {
    this.#onLapsed = onLapsed;
  }

  /** spent + reserved + bound ≤ limit, for each budget. Changes nothing but what time has changed. */
  check(keyId: string, { budgets, boundNanoUsd }: MoneyReservation, nowMs: number): BudgetCheck {
    const refusing: number[] = [];
    const shadowRefusals: number[] = [];
    for (const [position, figures] of this.figures(keyId, budgets, nowMs).entries()) {
      const budget = budgets[position];
      if (budget === undefined || figures.spentNanoUsd + figures.reservedNanoUsd + boundNanoUsd <= budget.limitNanoUsd) continue;
      (budget.shadow ? shadowRefusals : refusing).push(position);
    }
    return { refusing, shadowRefusals };
  }

  figures(keyId: string, budgets: readonly BudgetLimit[], nowMs: number): BudgetFigures[] {
    this.#lapse(keyId, nowMs);
    const windows = this.#keys.get(keyId)?.windows;
    return budgets.map(({ period }) => {
      const windowId = budgetWindowId(period, nowMs);
      const { spent, reserved } = windows?.get(toBudgetField(period, windowId)) ?? { spent: 0, reserved: 0 };
      return { windowId, spentNanoUsd: spent, reservedNanoUsd: reserved };
    });
  }

  commit({ keyId, requestId, holdMs }: Admission, { budgets, boundNanoUsd, floorNanoUsd }: MoneyReservation, nowMs: number): void {
    const key = this.#keyOf(keyId);
    const fields = budgets.map(({ period }) => toBudgetField(period, budgetWindowId(period, nowMs)));
    if (fields.some((field) => !key.windows.has(field))) forgetPast(key.windows, nowMs);
    for (const field of fields) windowOf(key, field).reserved += boundNanoUsd;
    key.lapsed.delete(requestId);
    const floor = Math.min(floorNanoUsd, boundNanoUsd);
    key.held.set(requestId, { fields, floor, untilMs: nowMs + holdMs, left: boundNanoUsd, booked: 0 });
    this.#sweepSome(nowMs);
  }

  /** The true cost, once. After the deadline the difference to what was booked then. */
  settle({ keyId, requestId }: { keyId: string; requestId: string }, costNanoUsd: number, nowMs: number): void {
    // one that comes late tells itself what was used
    this.#lapse(keyId, nowMs, requestId);
    const key = this.#keys.get(keyId);
    const held = key?.held.get(requestId) ?? key?.lapsed.get(requestId);
    if (key === undefined || held === undefined) return;
    key.held.delete(requestId);
    key.lapsed.delete(requestId);
    book(key, held, { spent: costNanoUsd - held.booked, released: held.left });
  }

  /** What has flowed so far is spent, the rest stays reserved. One that has lapsed books, and reserves nothing any more. */
  renew({ keyId, requestId, holdMs }: Admission, costSoFarNanoUsd: number, nowMs: number): void {
    this.#lapse(keyId, nowMs);
    const key = this.#keys.get(keyId);
    const lapsed = key?.lapsed.get(requestId);
    const held = lapsed ?? key?.held.get(requestId);
    if (key === undefined || held === undefined) return;
    const flowed = Math.max(0, costSoFarNanoUsd - held.booked);
    book(key, held, { spent: flowed, released: Math.min(flowed, held.left) });
    held.untilMs = nowMs + (lapsed === undefined ? holdMs : tombstoneMs);
    const order = lapsed === undefined ? key.held : key.lapsed;
    order.delete(requestId);
    order.set(requestId, held);
  }

  /** Spend as it would be if every reservation lapsed now, of the windows that still count. */
  spend(nowMs: number): Record<string, BudgetSpend> {
    const all: Record<string, BudgetSpend> = {};
    for (const [keyId, { windows, held }] of this.#keys) {
      const spend: Record<string, number> = {};
      for (const [field, { spent }] of windows) if (!isPastBudgetField(field, nowMs)) spend[field] = spent;
      for (const { fields, floor, booked } of held.values()) {
        for (const field of fields) spend[field] = (spend[field] ?? 0) + Math.max(0, floor - booked);
      }
      all[keyId] = spend;
    }
    return all;
  }

  /** Nothing counts as spent in these windows any more; gives what did. What is reserved stays reserved. */
  reset(keyId: string, fields: readonly string[]): ReadonlyMap<string, number> {
    const before = new Map<string, number>();
    for (const field of fields) {
      const window = this.#keys.get(keyId)?.windows.get(field);
      if (window === undefined) continue;
      before.set(field, window.spent);
      window.spent = 0;
    }
    return before;
  }

  /** Spend that was kept elsewhere: the maximum counts. */
  restore(keyId: string, spend: BudgetSpend): void {
    for (const [field, spentNanoUsd] of Object.entries(spend)) {
      if (parseBudgetField(field) === undefined || !Number.isSafeInteger(spentNanoUsd)) continue;
      const window = windowOf(this.#keyOf(keyId), field);
      window.spent = Math.max(window.spent, spentNanoUsd);
    }
  }

  dump(): unknown {
    return structuredClone(this.#keys);
  }

  get size(): number {
    return this.#keys.size;
  }

  #keyOf(keyId: string): KeyMoney {
    const key = this.#keys.get(keyId) ?? { windows: new Map(), held: new Map(), lapsed: new Map() };
    this.#keys.set(keyId, key);
    return key;
  }

  #lapse(keyId: string, nowMs: number, untold?: string): void {
    const key = this.#keys.get(keyId);
    if (key === undefined) return;
    for (const [requestId, held] of key.held) {
      if (held.untilMs > nowMs) break;
      book(key, held, { spent: Math.max(0, held.floor - held.booked), released: held.left });
      held.untilMs += tombstoneMs;
      key.held.delete(requestId);
      key.lapsed.set(requestId, held);
      if (requestId !== untold) this.#onLapsed({ keyId, requestId, costNanoUsd: held.booked });
    }
    for (const [requestId, { untilMs }] of key.lapsed) {
      if (untilMs > nowMs) break;
      key.lapsed.delete(requestId);
    }
  }

  #sweepSome(nowMs: number): void {
    for (let step = 0; step < sweptPerAdmission; step += 1) {
      const next = this.#sweep.next();
      if (next.done) {
        this.#sweep = this.#keys.keys();
        continue;
      }
      this.#lapse(next.value, nowMs);
      const key = this.#keys.get(next.value);
      if (key === undefined) continue;
      forgetPast(key.windows, nowMs);
      if (key.windows.size + key.held.size + key.lapsed.size === 0) this.#keys.delete(next.value);
    }
  }
}

function windowOf({ windows }: KeyMoney, field: string): BudgetWindow {
  const window = windows.get(field) ?? { spent: 0, reserved: 0 };
  windows.set(field, window);
  return window;
}

function book(key: KeyMoney, held: HeldMoney, { spent, released }: { spent: number; released: number }): void {
  for (const field of held.fields) {
    const window = windowOf(key, field);
    window.spent = Math.max(0, window.spent + spent);
    window.reserved = Math.max(0, window.reserved - released);
  }
  held.booked += spent;
  held.left -= released;
}

function forgetPast(windows: Map<string, BudgetWindow>, nowMs: number): void {
  for (const field of windows.keys()) if (isPastBudgetField(field, nowMs)) windows.delete(field);
}
