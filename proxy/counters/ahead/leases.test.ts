import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { minuteWindow } from '../../../core/limit.ts';
import type { Decision } from '../answers.ts';
import type { Admission, LimitWindow } from '../counters.ts';
import { type Booking, type Leases, makeLeases, type Unspent } from './leases.ts';

/** A store that books whatever it is asked, and answers `travelMs` after the question was sent; its clock runs with the monotonic one. */
const bucketStartMs = 1_700_000_000_000;
const travelMs = 2;

let replicas: number;
let leases: Leases;
let ended: { booking: Booking; unspent: Unspent }[];
let number = 0;

const monotonicNow = (): number => performance.now();
const storeNow = (): number => bucketStartMs + Math.floor(performance.now());

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
  // fake time may begin anywhere in a bucket
  vi.advanceTimersByTime(minuteWindow.widthMs - (performance.now() % minuteWindow.widthMs));
  replicas = 3;
  ended = [];
  leases = makeLeases({
    monotonicNow,
    storeNow,
    replicas: () => replicas,
    onEnded: (booking, { ...unspent }) => ended.push({ booking, unspent }),
  });
});
afterEach(() => {
  vi.useRealTimers();
});

const window = (name: string, limit: number, rest: Partial<LimitWindow> = {}): LimitWindow => ({
  name,
  unit: name.startsWith('r') ? 'requests' : 'tokens',
  span: name.endsWith('d') ? 'day' : 'minute',
  limit,
  shadow: false,
  ...rest,
});
const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
const rpm = [window('rpm', 60_000)];

function request(windows: readonly LimitWindow[], rest: Partial<Admission> = {}): Admission {
  number += 1;
  return { requestId: `r${number}`, keyId: 'team/app', bearer, windows, tokens: 0, holdMs: 30_000, ...rest };
}

/** So many came at this moment, and none was leased. */
function heat(windows: readonly LimitWindow[], count: number, rest: Partial<Admission> = {}): Admission {
  for (let more = 1; more < count; more += 1) leases.take(request(windows, rest));
  const last = request(windows, rest);
  leases.take(last);
  return last;
}

function granted({ windows, tokens, lease, money }: Booking, timeMs: number): Decision {
  const used = windows.map(({ unit }) => (unit === 'requests' ? lease.requests : tokens));
  const budgets = money?.budgets.map(() => ({ windowId: 0, spentNanoUsd: 0, reservedNanoUsd: money.boundNanoUsd }));
  return { admitted: true, timeMs, used, ...(budgets && { budgets }), shadowRefusals: [] };
}

/** Asks for what is wanted along with the admission, and has it booked. */
function book(admission: Admission): Booking | undefined {
  const [booking] = leases.wanted([admission]);
  if (booking === undefined) return undefined;
  const sentMs = monotonicNow();
  vi.advanceTimersByTime(travelMs);
  // at the earliest moment that it can have been
  leases.booked(booking, granted(booking, bucketStartMs + Math.floor(sentMs)), sentMs);
  return booking;
}

function takeAll(windows: readonly LimitWindow[], rest: Partial<Admission> = {}): number {
  let taken = 0;
  while (leases.take(request(windows, rest)) !== undefined) taken += 1;
  return taken;
}

describe('a lease', () => {
  it('is booked for a hot key, for as many requests as came lately and a little more, and is spent without the store', () => {
    const booking = book(heat(rpm, 40));
    expect(booking).toMatchObject({ windows: [{ name: 'rpm', limit: 54_000 }], lease: { requests: 50, forMs: 250 } });
    expect(takeAll(rpm)).toBe(50);
  });

  it('is not booked for a key that is asked for now and then', () => {
    for (let count = 0; count < 20; count += 1) {
      expect(leases.wanted([heat(rpm, 1)])).toEqual([]);
      vi.advanceTimersByTime(100);
    }
  });

  it('is spent only in the sub-bucket of the store that was charged, to its end', () => {
    vi.advanceTimersByTime(minuteWindow.widthMs - 60);
    book(heat(rpm, 400));
    const spentAtMs: number[] = [];
    for (let waited = 0; waited < 120; waited += 1) {
      const atMs = storeNow();
      if (leases.take(request(rpm)) !== undefined) spentAtMs.push(atMs);
      vi.advanceTimersByTime(1);
    }
    expect(new Set(spentAtMs.map((atMs) => Math.floor(atMs / minuteWindow.widthMs))).size).toBe(1);
    expect((spentAtMs.at(-1) ?? 0) % minuteWindow.widthMs).toBeGreaterThanOrEqual(minuteWindow.widthMs - 2);
  });

  it('is spent for at most 250 ms, counted from when it was asked for', () => {
    book(heat(rpm, 40));
    vi.advanceTimersByTime(249 - travelMs);
    expect(leases.take(request(rpm))).toBeDefined();
    vi.advanceTimersByTime(1);
    expect(leases.take(request(rpm))).toBeUndefined();
  });

  it('tells a time within its sub-bucket, whatever this process believes of the clock', () => {
    const booking = book(heat(rpm, 40));
    const spent = leases.take(request(rpm));
    expect(spent).toMatchObject({ leaseId: booking?.requestId, decision: { admitted: true, used: [1], timeMs: storeNow() } });
  });

  it('gives back what is left of it, once, when its time is over', () => {
    const booking = book(heat(rpm, 40));
    for (let count = 0; count < 8; count += 1) leases.take(request(rpm));
    expect(ended).toEqual([]);
    vi.advanceTimersByTime(250);
    expect(ended).toEqual([{ booking, unspent: { requests: 42, tokens: 0, nanoUsd: 0 } }]);
    vi.advanceTimersByTime(10_000);
    expect(ended).toHaveLength(1);
  });

  it('that is answered after its time is over is given back as a whole', () => {
    const [booking] = leases.wanted([heat(rpm, 40)]);
    if (booking === undefined) throw new Error('nothing is wanted');
    const sentMs = monotonicNow();
    vi.advanceTimersByTime(251);
    leases.booked(booking, granted(booking, bucketStartMs + Math.floor(sentMs)), sentMs);
    expect(ended).toEqual([{ booking, unspent: { requests: 50, tokens: 0, nanoUsd: 0 } }]);
    expect(leases.take(request(rpm))).toBeUndefined();
  });

  it('is one at a time for a key and its limits', () => {
    expect(leases.wanted([heat(rpm, 40), request(rpm)])).toHaveLength(1);
    expect(leases.wanted([request(rpm)])).toEqual([]);
  });

  it('is not asked for again at once where it was not granted or not answered', () => {
    for (const refuse of [
      (booking: Booking) =>
        leases.booked(booking, { admitted: false, timeMs: storeNow(), used: [], refusing: 0, waitMs: 1 }, monotonicNow()),
      (booking: Booking) => leases.undecided(booking, 250),
    ]) {
      const [booking] = leases.wanted([heat(rpm, 40)]);
      if (booking === undefined) throw new Error('nothing is wanted');
      refuse(booking);
      expect(leases.wanted([heat(rpm, 40)])).toEqual([]);
      vi.advanceTimersByTime(250);
    }
    expect(leases.wanted([heat(rpm, 40)])).toHaveLength(1);
  });
});

describe('what is booked in advance', () => {
  it('is at most a hundredth of a limit for all proxies together', () => {
    expect(book(heat([window('rpm', 6_000)], 400))).toMatchObject({ lease: { requests: 20 } });
    leases.drop('team/app');
    replicas = 10;
    expect(book(heat([window('rpm', 6_001)], 400))).toMatchObject({ lease: { requests: 6 } });
  });

  it('is nothing where that would be next to nothing: such a limit is asked for request by request', () => {
    expect(leases.wanted([heat([window('rpm', 1_100)], 400)])).toEqual([]);
    expect(leases.wanted([heat([window('rpm', 60_000), window('rpd', 1_100)], 400)])).toEqual([]);
  });

  it('covers the tokens and the money of as many requests, and all limits of the key', () => {
    const windows = [window('rpm', 60_000), window('tpm', 30_000_000), window('rpd', 1_000_000, { shadow: true })];
    const money = {
      budgets: [{ period: 'Daily', limitNanoUsd: 100_000_000, shadow: false }],
      boundNanoUsd: 10_000,
      floorNanoUsd: 1_000,
    } as const;
    const booking = book(heat(windows, 100, { tokens: 1_000, money }));
    // a third of a hundredth of the budget
    expect(booking).toMatchObject({
      lease: { requests: 33 },
      tokens: 33_000,
      windows: [{ limit: 54_000 }, { limit: 27_000_000 }, { limit: 900_000, shadow: false }],
      money: { budgets: [{ limitNanoUsd: 90_000_000 }], boundNanoUsd: 330_000, floorNanoUsd: 33_000 },
    });
    expect(takeAll(windows, { tokens: 2_000, money })).toBe(16);
    expect(ended).toMatchObject([{ unspent: { requests: 17, tokens: 1_000, nanoUsd: 170_000 } }]);
  });

  it('counts what is booked for other models of the key by the limits that they share', () => {
    const own = window('rpm', 6_000);
    expect(book(heat([own, window('rpm:a*', 60_000)], 15))).toMatchObject({ lease: { requests: 19 } });
    expect(leases.wanted([heat([own, window('rpm:b*', 60_000)], 15)])).toEqual([]);
  });

  it('is nothing for a key that limits how many run at the same time', () => {
    const concurrency = { limit: 1_000, shadow: false };
    expect(leases.wanted([heat(rpm, 40, { concurrency })])).toEqual([]);
  });

  it('is for the bearer and the limits that the store was asked for', () => {
    book(heat(rpm, 40));
    expect(leases.take(request(rpm, { bearer: { ...bearer, credentialId: 'bbbbbbbbbbbb' } }))).toBeUndefined();
    expect(leases.take(request(rpm, { bearer: { ...bearer, gen: 6 } }))).toBeUndefined();
    expect(leases.take(request([window('rpm', 50_000)]))).toBeUndefined();
    expect(leases.take(request(rpm, { subject: 'channel' }))).toBeUndefined();
    expect(leases.take(request(rpm))).toBeDefined();
  });
});

describe('a key that is dropped', () => {
  it('spends nothing any more, of what is booked and of what is on its way', () => {
    book(heat(rpm, 40));
    leases.drop('team/app');
    expect(ended).toMatchObject([{ unspent: { requests: 50 } }]);
    expect(leases.take(request(rpm))).toBeUndefined();

    const [booking] = leases.wanted([heat(rpm, 40)]);
    leases.drop('team/app');
    if (booking === undefined) throw new Error('nothing is wanted');
    leases.booked(booking, granted(booking, storeNow()), monotonicNow());
    expect(leases.take(request(rpm))).toBeUndefined();
    expect(ended).toHaveLength(2);
  });

  it('gives nothing back that the store may have forgotten', () => {
    book(heat(rpm, 40));
    leases.forgetAll();
    vi.advanceTimersByTime(1_000);
    expect(ended).toEqual([]);
    expect(leases.take(request(rpm))).toBeUndefined();
  });

  it('at the end of the process everything is given back', () => {
    book(heat(rpm, 40));
    leases.close();
    expect(ended).toHaveLength(1);
  });
});
