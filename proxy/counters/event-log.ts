import { shapeOf, spanMs } from '../../core/limit.ts';
import { amountOf } from './answers.ts';
import type { Admission, LimitWindow } from './counters.ts';

interface Event {
  readonly atMs: number;
  amount: number;
}

interface HeldRequest {
  readonly events: Map<string, Event>;
  readonly firstFlows: Map<string, Event>;
  deadlineMs: number;
  booked: number;
}

/**
 * The reference that stores of limits are compared with: an exact log of everything that was ever charged, without rings, sums or scripts. A bucket's events count until the
 * latest of them is older than the span. For tests; one key, and a clock that does not go back.
 */
export class EventLog {
  readonly #events = new Map<string, Event[]>();
  readonly #held = new Map<string, HeldRequest>();

  used(window: LimitWindow, nowMs: number): number {
    const shape = shapeOf(window.span);
    const latest = new Map<number, number>();
    const bucketOf = ({ atMs }: Event): number => Math.floor(atMs / shape.widthMs);
    const events = this.#events.get(window.name) ?? [];
    for (const event of events) latest.set(bucketOf(event), Math.max(latest.get(bucketOf(event)) ?? 0, event.atMs));
    return events.reduce((sum, event) => ((latest.get(bucketOf(event)) ?? 0) + spanMs(shape) >= nowMs ? sum + event.amount : sum), 0);
  }

  inFlight(nowMs: number): number {
    return [...this.#held.values()].filter(({ deadlineMs }) => deadlineMs > nowMs).length;
  }

  admits({ requestId, windows, tokens, concurrency }: Admission, nowMs: number): boolean {
    if ((this.#held.get(requestId)?.deadlineMs ?? 0) > nowMs) return true;
    if (concurrency && this.inFlight(nowMs) >= concurrency.limit) return false;
    return windows.every((window) => window.limit > 0 && this.used(window, nowMs) + amountOf(window, tokens) <= window.limit);
  }

  admit({ requestId, windows, tokens, holdMs }: Admission, nowMs: number): void {
    if ((this.#held.get(requestId)?.deadlineMs ?? 0) > nowMs) return;
    const events = new Map<string, Event>();
    for (const window of windows) {
      events.set(window.name, this.#charge(window, window.unit === 'tokens' ? nowMs + holdMs : nowMs, amountOf(window, tokens)));
    }
    this.#held.set(requestId, { events, firstFlows: new Map(), deadlineMs: nowMs + holdMs, booked: 0 });
  }

  settle(
    {
      requestId,
      windows,
      tokens,
      refundRequest,
    }: { requestId: string; windows: readonly LimitWindow[]; tokens: number; refundRequest: boolean },
    nowMs: number,
  ): void {
    const held = this.#held.get(requestId);
    this.#held.delete(requestId);
    if (held === undefined || held.deadlineMs <= nowMs) return;
    for (const window of windows) {
      const event = held.events.get(window.name);
      if (event === undefined || (window.unit === 'requests' && !refundRequest)) continue;
      event.amount = 0;
      if (window.unit !== 'tokens') continue;
      this.#charge(window, nowMs, Math.max(0, tokens - held.booked));
      const first = held.firstFlows.get(window.name);
      if (first !== undefined) first.amount = Math.max(0, first.amount - Math.max(0, held.booked - tokens));
    }
  }

  renew({ requestId, windows, holdMs }: Admission, tokensSoFar: number, nowMs: number): void {
    const held = this.#held.get(requestId);
    if (held === undefined || held.deadlineMs <= nowMs) return;
    const flowed = Math.max(0, tokensSoFar - held.booked);
    held.booked += flowed;
    held.deadlineMs = nowMs + holdMs;
    for (const window of windows.filter(({ unit }) => unit === 'tokens')) {
      const event = held.events.get(window.name);
      if (event === undefined) continue;
      const left = Math.max(0, event.amount - flowed);
      event.amount = 0;
      const booked = this.#charge(window, nowMs, flowed);
      if (flowed > 0 && !held.firstFlows.has(window.name)) held.firstFlows.set(window.name, booked);
      held.events.set(window.name, this.#charge(window, held.deadlineMs, left));
    }
  }

  /** The most that was ever charged within any span, by the times of the charges themselves. */
  mostInAnySpan(window: LimitWindow): number {
    const events = this.#events.get(window.name) ?? [];
    const span = spanMs(shapeOf(window.span));
    const within = (from: number): number =>
      events.reduce((sum, { atMs, amount }) => (atMs >= from && atMs <= from + span ? sum + amount : sum), 0);
    return Math.max(0, ...events.map(({ atMs }) => within(atMs)));
  }

  #charge(window: LimitWindow, atMs: number, amount: number): Event {
    const event = { atMs, amount };
    this.#events.set(window.name, [...(this.#events.get(window.name) ?? []), event]);
    return event;
  }
}
