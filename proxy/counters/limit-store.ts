import {
  advance,
  type Charge,
  charge,
  countsUntilMs,
  emptyWindow,
  refund,
  shapeOf,
  timeUntilEmpty,
  timeUntilFits,
  viewAt,
  type Window,
  type WindowShape,
} from '../../core/limit.ts';
import { amountOf, type Decision } from './answers.ts';
import { type BudgetFigures, BudgetStore, type OnLapsed } from './budget-store.ts';
import type { Admission, LimitWindow, PeekQuestion, Settlement } from './counters.ts';
import type { Reading } from './peek.ts';

interface ShadowRefusals {
  readonly shadowRefusals: readonly number[];
  readonly shadowBudgets: readonly number[];
}

interface Held extends ShadowRefusals {
  readonly admittedMs: number;
  readonly charges: Map<string, Charge>;
  /** what was booked first of what has flowed */
  readonly firstFlows: Map<string, Charge>;
  deadlineMs: number;
  bookedTokens: number;
}

interface StoredWindow {
  readonly window: Window;
  readonly shape: WindowShape;
  countsUntilMs: number;
}

/** Entries looked at per admission: two would already outrun what one admission adds; the rest catches up after a burst. */
const sweptPerAdmission = 8;
/** What admit.lua answers for a limit of 0. */
const neverMs = 60_000;

/**
 * The windows, reservations and slots of one process: admit.lua and settle.lua in TypeScript, synchronous.
 * Memory is bounded by what was charged within the longest span: every admission sweeps a few idle entries.
 */
export class LimitStore {
  readonly #windows = new Map<string, StoredWindow>();
  readonly #held = new Map<string, Held>();
  /** key id → request id → deadline, the renewed last */
  readonly #slots = new Map<string, Map<string, number>>();
  #windowSweep = this.#windows.entries();
  #heldSweep = this.#held.entries();
  /** spend and reservations of money */
  readonly budgets: BudgetStore;

  constructor(onLapsed?: OnLapsed) {
    this.budgets = new BudgetStore(onLapsed);
  }

  /** Check everything, then commit everything; the same request again is answered as at first. */
  admit(admission: Admission, nowMs: number): Decision {
    const held = this.#held.get(heldName(admission));
    if (held !== undefined && held.deadlineMs > nowMs) {
      const { admittedMs: timeMs, shadowRefusals, shadowBudgets } = held;
      return { admitted: true, timeMs, ...this.#figures(admission, nowMs), shadowRefusals, shadowBudgets };
    }
    const money = admission.money && this.budgets.check(admission.keyId, admission.money, nowMs);
    if (money !== undefined && money.refusing.length > 0) {
      return { admitted: false, timeMs: nowMs, ...this.#figures(admission, nowMs), exhausted: money.refusing };
    }
    const { refusing, waitMs, shadowRefusals } = this.#check(admission, nowMs);
    if (refusing !== undefined) return { admitted: false, timeMs: nowMs, ...this.#figures(admission, nowMs), refusing, waitMs };
    const shadow = { shadowRefusals, shadowBudgets: money?.shadowRefusals ?? [] };
    this.#commit(admission, nowMs, shadow);
    return { admitted: true, timeMs: nowMs, ...this.#figures(admission, nowMs), ...shadow };
  }

  /** Counts an admission that somebody else decided. */
  book(admission: Admission, nowMs: number): void {
    const held = this.#held.get(heldName(admission));
    if (held === undefined || held.deadlineMs <= nowMs) this.#commit(admission, nowMs, { shadowRefusals: [], shadowBudgets: [] });
  }

  settle(settlement: Settlement, nowMs: number): void {
    this.#slots.get(settlement.keyId)?.delete(settlement.requestId);
    if (settlement.money !== undefined) this.budgets.settle(settlement, settlement.refundRequest ? 0 : settlement.money.costNanoUsd, nowMs);
    const held = this.#held.get(heldName(settlement));
    if (held === undefined) return;
    this.#held.delete(heldName(settlement));
    // past its deadline the reservation has become used tokens by itself
    if (held.deadlineMs <= nowMs) return;
    for (const limit of settlement.windows) {
      const charged = held.charges.get(limit.name);
      if (charged === undefined || (limit.unit === 'requests' && !settlement.refundRequest)) continue;
      const { window, shape } = this.#advanced(settlement.keyId, limit, nowMs);
      refund(window, charged);
      if (limit.unit === 'tokens') bookEnd(held, { limit, window, shape }, { nowMs, tokens: settlement.tokens });
    }
  }

  renew(admission: Admission, { tokens, costNanoUsd }: { tokens: number; costNanoUsd: number }, nowMs: number): void {
    if (admission.money !== undefined) this.budgets.renew(admission, costNanoUsd, nowMs);
    const held = this.#held.get(heldName(admission));
    if (held === undefined || held.deadlineMs <= nowMs) return;
    held.deadlineMs = nowMs + admission.holdMs;
    const flowed = Math.max(0, tokens - held.bookedTokens);
    held.bookedTokens += flowed;
    for (const limit of admission.windows) {
      const charged = held.charges.get(limit.name);
      if (limit.unit === 'requests' || charged === undefined) continue;
      const stored = this.#advanced(admission.keyId, limit, nowMs);
      refund(stored.window, charged);
      const booked = charge(stored.window, stored.shape, nowMs, flowed);
      if (flowed > 0 && !held.firstFlows.has(limit.name)) held.firstFlows.set(limit.name, booked);
      held.charges.set(limit.name, charge(stored.window, stored.shape, held.deadlineMs, Math.max(0, charged.amount - flowed)));
      keepUntil(stored, held.deadlineMs);
    }
    const slots = this.#slots.get(admission.keyId);
    if (slots?.delete(admission.requestId)) slots.set(admission.requestId, held.deadlineMs);
  }

  /** What is used by now; changes nothing. */
  peek({ keyId, windows, budgets = [] }: PeekQuestion, nowMs: number): Reading {
    return {
      timeMs: nowMs,
      inFlight: this.#inFlight(keyId, nowMs),
      budgets: this.budgets.figures(keyId, budgets, nowMs),
      windows: windows.map((limit) => {
        const stored = this.#windows.get(windowName(keyId, limit));
        if (stored === undefined) return { used: 0, emptyInMs: 0 };
        const { window, shape } = stored;
        return { used: viewAt(window, shape, nowMs).sum, emptyInMs: timeUntilEmpty(window, shape, nowMs) };
      }),
    };
  }

  /** Everything that is stored, as plain values: tests compare it. */
  dump(): unknown {
    return { ...structuredClone({ windows: this.#windows, held: this.#held, slots: this.#slots }), budgets: this.budgets.dump() };
  }

  get size(): number {
    return this.#windows.size + this.#held.size + this.#slots.size + this.budgets.size;
  }

  #check(
    { keyId, windows, tokens, concurrency }: Admission,
    nowMs: number,
  ): { refusing: number | undefined; waitMs: number; shadowRefusals: number[] } {
    const shadowRefusals: number[] = [];
    let refusing: number | undefined;
    let waitMs = -1;
    for (const [position, limit] of windows.entries()) {
      const fitsInMs = this.#fitsInMs(keyId, limit, { nowMs, tokens });
      if (fitsInMs === 0) continue;
      if (limit.shadow) {
        shadowRefusals.push(position);
        continue;
      }
      // a limit of 0 never fits, so it is named before all others
      if (limit.limit === 0) return { refusing: position, waitMs: neverMs, shadowRefusals };
      if (fitsInMs > waitMs) {
        refusing = position;
        waitMs = fitsInMs;
      }
    }
    if (concurrency !== undefined && this.#inFlight(keyId, nowMs) >= concurrency.limit) {
      if (concurrency.shadow) shadowRefusals.push(-1);
      else if (refusing === undefined) return { refusing: -1, waitMs: 0, shadowRefusals };
    }
    return { refusing, waitMs, shadowRefusals };
  }

  #fitsInMs(keyId: string, limit: LimitWindow, { nowMs, tokens }: { nowMs: number; tokens: number }): number {
    if (limit.limit === 0) return neverMs;
    const stored = this.#windows.get(windowName(keyId, limit));
    if (stored === undefined) return 0;
    return timeUntilFits(stored.window, stored.shape, { nowMs, need: amountOf(limit, tokens), limit: limit.limit });
  }

  #commit(admission: Admission, nowMs: number, shadow: ShadowRefusals): void {
    const { requestId, keyId, windows, tokens, concurrency, holdMs } = admission;
    const deadlineMs = nowMs + holdMs;
    const charges = new Map<string, Charge>();
    for (const limit of windows) {
      const stored = this.#advanced(keyId, limit, nowMs);
      const atMs = limit.unit === 'tokens' ? deadlineMs : nowMs;
      charges.set(limit.name, charge(stored.window, stored.shape, atMs, amountOf(limit, tokens)));
      keepUntil(stored, atMs);
    }
    this.#held.set(heldName(admission), { admittedMs: nowMs, ...shadow, charges, firstFlows: new Map(), deadlineMs, bookedTokens: 0 });
    if (admission.money !== undefined) this.budgets.commit(admission, admission.money, nowMs);
    if (concurrency !== undefined) {
      const slots = this.#slots.get(keyId) ?? new Map<string, number>();
      for (const id of lapsed(slots, nowMs)) slots.delete(id);
      this.#slots.set(keyId, slots.set(requestId, deadlineMs));
    }
    this.#sweep(nowMs);
  }

  #advanced(keyId: string, limit: LimitWindow, nowMs: number): StoredWindow {
    const name = windowName(keyId, limit);
    const shape = shapeOf(limit.span);
    const stored = this.#windows.get(name) ?? { window: emptyWindow(), shape, countsUntilMs: 0 };
    advance(stored.window, shape, nowMs);
    keepUntil(stored, nowMs);
    this.#windows.set(name, stored);
    return stored;
  }

  #figures({ keyId, windows, money }: Admission, nowMs: number): { used: number[]; budgets?: BudgetFigures[] } {
    const used = windows.map((limit) => {
      const stored = this.#windows.get(windowName(keyId, limit));
      return stored === undefined ? 0 : viewAt(stored.window, stored.shape, nowMs).sum;
    });
    return money === undefined ? { used } : { used, budgets: this.budgets.figures(keyId, money.budgets, nowMs) };
  }

  #inFlight(keyId: string, nowMs: number): number {
    const slots = this.#slots.get(keyId);
    return slots === undefined ? 0 : slots.size - lapsed(slots, nowMs).length;
  }

  #sweep(nowMs: number): void {
    for (let step = 0; step < sweptPerAdmission; step += 1) {
      const window = this.#windowSweep.next();
      if (window.done) this.#windowSweep = this.#windows.entries();
      else if (window.value[1].countsUntilMs <= nowMs) this.#windows.delete(window.value[0]);
      const held = this.#heldSweep.next();
      if (held.done) this.#heldSweep = this.#held.entries();
      else if (held.value[1].deadlineMs <= nowMs) this.#forget(held.value[0]);
    }
  }

  #forget(name: string): void {
    this.#held.delete(name);
    const [keyId = '', requestId = ''] = name.split('\n');
    const slots = this.#slots.get(keyId);
    slots?.delete(requestId);
    if (slots?.size === 0) this.#slots.delete(keyId);
  }
}

/** What had flowed was a guess: too much of it is given back where it was booked first, so that no later moment has less than was used then. */
function bookEnd(
  { bookedTokens, firstFlows }: Held,
  { limit, window, shape }: { limit: LimitWindow; window: Window; shape: WindowShape },
  { nowMs, tokens }: { nowMs: number; tokens: number },
): void {
  charge(window, shape, nowMs, Math.max(0, tokens - bookedTokens));
  const first = firstFlows.get(limit.name);
  if (first !== undefined) refund(window, { ...first, amount: Math.min(first.amount, Math.max(0, bookedTokens - tokens)) });
}

function keepUntil(stored: StoredWindow, chargedAtMs: number): void {
  stored.countsUntilMs = Math.max(stored.countsUntilMs, countsUntilMs(stored.shape, chargedAtMs));
}

/** Those past their deadline stand in front, because a renewed one goes to the end: no look at all of them. */
function lapsed(slots: ReadonlyMap<string, number>, nowMs: number): string[] {
  const ids: string[] = [];
  for (const [id, untilMs] of slots) {
    if (untilMs > nowMs) break;
    ids.push(id);
  }
  return ids;
}

function windowName(keyId: string, limit: LimitWindow): string {
  return `${keyId}\n${limit.span}\n${limit.name}`;
}

function heldName({ keyId, requestId }: { keyId: string; requestId: string }): string {
  return `${keyId}\n${requestId}`;
}
