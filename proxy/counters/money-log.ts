import { type BudgetPeriod, budgetWindowId, toBudgetField } from '../../core/budget.ts';
import type { Admission, MoneyReservation } from './counters.ts';

interface LoggedRequest {
  readonly fields: readonly string[];
  readonly bound: number;
  readonly floor: number;
  deadlineMs: number;
  /** the most that was told to have flowed, before the deadline */
  flowed: number;
  /** the most that was told to have flowed, ever */
  told: number;
  settled: boolean;
  cost: number;
}

const day = 86_400_000;

/**
 * The reference that stores of budgets are compared with: every request that ever was, and what each contributes at a moment, added up anew each time. For tests; one key, and a
 * clock that does not go back.
 */
export class MoneyLog {
  readonly #requests = new Map<string, LoggedRequest>();
  /** of request ids that were used again after their time */
  readonly #former: LoggedRequest[] = [];

  spent(period: BudgetPeriod, nowMs: number): number {
    return this.#sum(period, nowMs, (request) => spentOf(request, nowMs));
  }

  reserved(period: BudgetPeriod, nowMs: number): number {
    return this.#sum(period, nowMs, (request) =>
      request.settled || request.deadlineMs <= nowMs ? 0 : Math.max(0, request.bound - request.flowed),
    );
  }

  isHeld(requestId: string, nowMs: number): boolean {
    const request = this.#requests.get(requestId);
    return request !== undefined && !request.settled && request.deadlineMs > nowMs;
  }

  /** positions of the budgets that have no room */
  refusing({ budgets, boundNanoUsd }: MoneyReservation, nowMs: number): number[] {
    return budgets.flatMap(({ period, limitNanoUsd }, position) =>
      this.spent(period, nowMs) + this.reserved(period, nowMs) + boundNanoUsd > limitNanoUsd ? [position] : [],
    );
  }

  admit({ requestId, holdMs }: Admission, { budgets, boundNanoUsd, floorNanoUsd }: MoneyReservation, nowMs: number): void {
    const former = this.#requests.get(requestId);
    if (former !== undefined) this.#former.push(former);
    this.#requests.set(requestId, {
      fields: budgets.map(({ period }) => toBudgetField(period, budgetWindowId(period, nowMs))),
      bound: boundNanoUsd,
      floor: Math.min(floorNanoUsd, boundNanoUsd),
      deadlineMs: nowMs + holdMs,
      flowed: 0,
      told: 0,
      settled: false,
      cost: 0,
    });
  }

  settle(requestId: string, cost: number, nowMs: number): void {
    const request = this.#requests.get(requestId);
    if (request === undefined || request.settled || nowMs >= this.#tombstoneEndMs(request)) return;
    request.settled = true;
    request.cost = cost;
  }

  renew({ requestId, holdMs }: Admission, costSoFar: number, nowMs: number): void {
    const request = this.#requests.get(requestId);
    if (request === undefined || request.settled || nowMs >= this.#tombstoneEndMs(request)) return;
    request.told = Math.max(request.told, costSoFar);
    if (request.deadlineMs <= nowMs) return void this.#renewedTombs.set(request, nowMs + day);
    request.flowed = Math.max(request.flowed, costSoFar);
    request.deadlineMs = nowMs + holdMs;
  }

  readonly #renewedTombs = new Map<LoggedRequest, number>();

  #tombstoneEndMs(request: LoggedRequest): number {
    return this.#renewedTombs.get(request) ?? request.deadlineMs + day;
  }

  #sum(period: BudgetPeriod, nowMs: number, of: (request: LoggedRequest) => number): number {
    const field = toBudgetField(period, budgetWindowId(period, nowMs));
    return [...this.#requests.values(), ...this.#former].reduce(
      (sum, request) => (request.fields.includes(field) ? sum + of(request) : sum),
      0,
    );
  }
}

function spentOf({ settled, cost, deadlineMs, floor, told }: LoggedRequest, nowMs: number): number {
  if (settled) return cost;
  return deadlineMs <= nowMs ? Math.max(told, floor) : told;
}
