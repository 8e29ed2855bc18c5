import { randomUUID } from 'node:crypto';
import { minuteWindow } from '../../../core/limit.ts';
import { amountOf, type Decision } from '../answers.ts';
import type { Admission } from '../counters.ts';
import { expectedSoon, makePace, type Pace, passed } from './lease-pace.ts';
import { limitsName } from '../limits-name.ts';

/**
 * Pieces of limits that the store has booked for this process in advance, so that the requests of a hot key need not wait for it. A lease is charged in full when it is booked and
 * spent only while the sub-bucket that was charged lasts, so no window ever holds more than its limit; what is left of it goes back to that bucket.
 */
export interface Leases {
  /** lets a request in by what was booked; undefined: the store has to be asked. Every admission that could be leased is shown to it, so that it learns what is hot */
  take(admission: Admission): Spent | undefined;
  /** what is worth booking along with these admissions; each is answered by `booked` or `undecided` */
  wanted(admissions: readonly Admission[]): readonly Booking[];
  /** `sentMs`: when the question was sent, by the monotonic clock */
  booked(booking: Booking, decision: Decision, sentMs: number): void;
  /** nothing is booked, or nobody knows; it may be asked for again after so long */
  undecided(booking: Booking, againMs: number): void;
  /** nothing that was booked for this key is spent any more */
  drop(keyId: string): void;
  /** the store may have forgotten what it had booked for these keys: nothing of it is spent, and nothing given back */
  forgetAll(concerns?: (keyId: string) => boolean): void;
  /** gives everything back */
  close(): void;
}

export interface Spent {
  readonly leaseId: string;
  /** as the store would have answered, as far as this process knows */
  readonly decision: Decision & { readonly admitted: true };
}

/** An admission for many requests at once; its request id is the lease's. */
export type Booking = Admission & { readonly lease: NonNullable<Admission['lease']> };

/** What nobody has spent. */
export interface Unspent {
  readonly requests: number;
  readonly tokens: number;
  readonly nanoUsd: number;
}

interface Options {
  readonly monotonicNow: () => number;
  /** the clock of the store, ms since 1970 */
  readonly storeNow: () => number;
  /** proxies that share the limits */
  readonly replicas: () => number;
  /** the store is told, after everything that was spent of it, what was not */
  readonly onEnded: (booking: Booking, unspent: Unspent) => void;
}

/** Longest life of a lease: so late a revocation is noticed that nobody has told, and so long others go without what is left of it. */
export const longestLeaseMs = 250;
/** How long the store keeps one that nobody ends; what was spent of it is told much sooner. */
const holdMs = 10_000;
/** All proxies together hold at most this part of a limit in advance, and nothing of its last tenth. */
const leasedPart = 0.01;
const bookablePart = 0.9;
/** One that saves fewer questions is not worth its own. */
const leastRequests = 4;
const mostRequests = 1_024;
/** Requests do not come evenly. */
const spare = 1.25;
const mostKeys = 10_000;
/** One key's admissions differ by the windows of the model and by the credential. */
const mostOfOneKey = 16;

interface Lease {
  readonly booking: Booking;
  readonly decision: Spent['decision'];
  /** the last moment to spend it: by the monotonic clock, and by the store's */
  readonly untilMs: number;
  readonly endsAtMs: number;
  readonly timer: NodeJS.Timeout;
  left: { requests: number; tokens: number; nanoUsd: number };
}

/** Admissions of one key and bearer that are checked against the same limits. */
interface Hot {
  readonly pace: Pace;
  /** on its way to the store */
  asked?: Booking | undefined;
  lease?: Lease | undefined;
  /** after one that was not granted */
  notBeforeMs: number;
}

export function makeLeases({ monotonicNow, storeNow, replicas, onEnded }: Options): Leases {
  const keys = new Map<string, Map<string, Hot>>();

  const end = (hot: Hot, isGivenBack: boolean): void => {
    const { lease } = hot;
    if (lease === undefined) return;
    clearTimeout(lease.timer);
    hot.lease = undefined;
    if (isGivenBack) onEnded(lease.booking, lease.left);
  };
  const dropKey = (keyId: string, isGivenBack: boolean): void => {
    for (const hot of keys.get(keyId)?.values() ?? []) end(hot, isGivenBack);
    keys.delete(keyId);
  };
  const find = (admission: Admission): Hot => {
    const { keyId } = admission;
    const ofKey: Map<string, Hot> = keys.get(keyId) ?? new Map();
    if (!keys.has(keyId)) {
      keys.set(keyId, ofKey);
      const [oldest] = keys.keys();
      if (keys.size > mostKeys && oldest !== undefined) dropKey(oldest, true);
    }
    const name = nameOf(admission);
    const hot = ofKey.get(name) ?? { pace: makePace(), notBeforeMs: 0 };
    ofKey.set(name, hot);
    const [oldest] = ofKey;
    if (ofKey.size > mostOfOneKey && oldest !== undefined) {
      end(oldest[1], true);
      ofKey.delete(oldest[0]);
    }
    return hot;
  };
  /** For how many requests like this one nothing else is booked yet of the part of each limit that may be. */
  const roomFor = (admission: Admission): number => {
    const others = [...(keys.get(admission.keyId)?.values() ?? [])].flatMap(({ asked, lease }) => asked ?? lease?.booking ?? []);
    const share = leasedPart / replicas();
    let room = mostRequests;
    for (const window of admission.windows) {
      const each = amountOf(window, admission.tokens);
      const held = others.flatMap((booking) =>
        booking.windows.filter(({ name }) => name === window.name).map((other) => amountOf(other, booking.tokens, booking.lease.requests)),
      );
      if (each > 0) room = Math.min(room, (window.limit * share - total(held)) / each);
    }
    for (const { limitNanoUsd, period } of admission.money?.budgets ?? []) {
      const each = admission.money?.boundNanoUsd ?? 0;
      const held = others.flatMap(({ money }) => (money?.budgets.some((other) => other.period === period) ? money.boundNanoUsd : []));
      if (each > 0) room = Math.min(room, (limitNanoUsd * share - total(held)) / each);
    }
    return Math.floor(room);
  };
  const toBooking = (admission: Admission, hot: Hot): Booking | undefined => {
    const nowMs = monotonicNow();
    if (hot.lease !== undefined || hot.asked !== undefined || nowMs < hot.notBeforeMs) return undefined;
    const lifeMs = Math.min(longestLeaseMs, minuteWindow.widthMs - (storeNow() % minuteWindow.widthMs));
    const expected = (expectedSoon(hot.pace, nowMs) * lifeMs) / longestLeaseMs;
    if (expected < leastRequests) return undefined;
    const requests = Math.min(Math.ceil(expected * spare), roomFor(admission));
    return requests < leastRequests ? undefined : toBookingOf(admission, requests);
  };
  return {
    take(admission) {
      if (!isLeasable(admission)) return undefined;
      const hot = find(admission);
      const nowMs = monotonicNow();
      passed(hot.pace, nowMs);
      const { lease } = hot;
      if (lease === undefined) return undefined;
      const nanoUsd = admission.money?.boundNanoUsd ?? 0;
      const { left } = lease;
      if (nowMs > lease.untilMs || left.requests === 0 || admission.tokens > left.tokens || nanoUsd > left.nanoUsd) {
        end(hot, true);
        return undefined;
      }
      left.requests -= 1;
      left.tokens -= admission.tokens;
      left.nanoUsd -= nanoUsd;
      return { leaseId: lease.booking.requestId, decision: toDecision(lease, storeNow()) };
    },
    wanted(admissions) {
      const bookings: Booking[] = [];
      for (const admission of admissions) {
        if (!isLeasable(admission)) continue;
        const hot = find(admission);
        const booking = toBooking(admission, hot);
        if (booking === undefined) continue;
        hot.asked = booking;
        bookings.push(booking);
      }
      return bookings;
    },
    booked(booking, decision, sentMs) {
      const hot = findAsked(keys, booking);
      if (!decision.admitted) {
        if (hot !== undefined) hot.notBeforeMs = monotonicNow() + longestLeaseMs;
        return;
      }
      const left = { requests: booking.lease.requests, tokens: booking.tokens, nanoUsd: booking.money?.boundNanoUsd ?? 0 };
      const { timeMs } = decision;
      const endsAtMs = Math.min(timeMs + longestLeaseMs, (Math.floor(timeMs / minuteWindow.widthMs) + 1) * minuteWindow.widthMs - 1);
      // the store read its clock after the question was sent: by then this much was left, so what is spent now is spent in time
      const untilMs = sentMs + (endsAtMs - timeMs);
      const leftMs = untilMs - monotonicNow();
      if (hot === undefined || leftMs <= 0) {
        onEnded(booking, left);
        return;
      }
      const timer = setTimeout(() => end(hot, true), leftMs);
      hot.lease = { booking, decision, untilMs, endsAtMs, timer, left };
    },
    undecided(booking, againMs) {
      const hot = findAsked(keys, booking);
      if (hot !== undefined) hot.notBeforeMs = monotonicNow() + againMs;
    },
    drop: (keyId) => dropKey(keyId, true),
    forgetAll(concerns = () => true) {
      for (const keyId of keys.keys()) if (concerns(keyId)) dropKey(keyId, false);
    },
    close() {
      for (const keyId of keys.keys()) dropKey(keyId, true);
    },
  };
}

function nameOf(admission: Admission): string {
  const { bearer } = admission;
  return `${limitsName(admission)}\n${bearer?.uid} ${bearer?.gen} ${bearer?.credentialId}`;
}

/** Slots are given back at once and each is held by somebody; where nothing is counted, nothing is asked. */
function isLeasable({ concurrency, windows, money }: Admission): boolean {
  return concurrency === undefined && (windows.length > 0 || money !== undefined);
}

/** Whose booking this is; nobody's when the key was dropped meanwhile. */
function findAsked(keys: ReadonlyMap<string, ReadonlyMap<string, Hot>>, booking: Booking): Hot | undefined {
  for (const hot of keys.get(booking.keyId)?.values() ?? []) {
    if (hot.asked !== booking) continue;
    hot.asked = undefined;
    return hot;
  }
  return undefined;
}

/** Limits in Shadow mode are held here as well: beyond them each request is asked for, so that each is reported. */
function toBookingOf(admission: Admission, requests: number): Booking {
  const { money } = admission;
  return {
    ...admission,
    requestId: `lease:${randomUUID()}`,
    windows: admission.windows.map((window) => ({ ...window, limit: Math.floor(window.limit * bookablePart), shadow: false })),
    tokens: admission.tokens * requests,
    ...(money && {
      money: {
        budgets: money.budgets.map((budget) => ({
          ...budget,
          limitNanoUsd: Math.floor(budget.limitNanoUsd * bookablePart),
          shadow: false,
        })),
        boundNanoUsd: money.boundNanoUsd * requests,
        floorNanoUsd: money.floorNanoUsd * requests,
      },
    }),
    lease: { requests, forMs: longestLeaseMs },
    holdMs,
  };
}

/** What is left of the lease stands in the store as used. */
function toDecision({ booking, decision, endsAtMs, left }: Lease, storeNowMs: number): Spent['decision'] {
  const used = booking.windows.map(
    ({ unit }, position) => (decision.used[position] ?? 0) - (unit === 'requests' ? left.requests : left.tokens),
  );
  const budgets = decision.budgets?.map((figures) => ({ ...figures, reservedNanoUsd: figures.reservedNanoUsd - left.nanoUsd }));
  // as far as this process knows the store's clock; that it was within the lease, the monotonic clock has shown
  const timeMs = Math.min(endsAtMs, Math.max(decision.timeMs, storeNowMs));
  return { admitted: true, timeMs, used, ...(budgets && { budgets }), shadowRefusals: [] };
}

function total(amounts: readonly number[]): number {
  return amounts.reduce((sum, amount) => sum + amount, 0);
}
