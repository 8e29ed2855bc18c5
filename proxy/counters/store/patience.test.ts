import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ReplyOutcome } from './await-reply.ts';
import { makePatience } from './patience.ts';

const never = new Promise<string>(() => {});
const deadlineMs = 250;

let breaker: { open: boolean };
let patience: ReturnType<typeof makePatience>;

beforeEach(() => {
  vi.useFakeTimers();
  breaker = { open: false };
  patience = makePatience({ deadlineMs, monotonicNow: () => performance.now() });
});
afterEach(() => {
  vi.useRealTimers();
});

const later = (ms: number): Promise<string> => new Promise((resolve) => void setTimeout(() => resolve('yes'), ms));

/** After so long; undefined: it still waits. */
async function after(ms: number, wait: Promise<ReplyOutcome<string>>): Promise<ReplyOutcome<string> | undefined> {
  let outcome: ReplyOutcome<string> | undefined;
  void wait.then((result) => (outcome = result));
  await vi.advanceTimersByTimeAsync(ms);
  return outcome;
}

describe('patience', () => {
  it('takes a reply of the second period, and none after it', async () => {
    expect(await after(240, patience.wait(later(230), breaker))).toEqual({ outcome: 'reply', value: 'yes' });
    expect(await after(490, patience.wait(later(480), breaker))).toEqual({ outcome: 'reply', value: 'yes' });
    const wait = patience.wait(later(560), breaker);
    expect(await after(490, wait)).toBeUndefined();
    expect(await after(20, wait)).toEqual({ outcome: 'late', ownStall: false });
  });

  it('says at once what failed, in either period', async () => {
    const error = new Error('gone');
    expect(await after(1, patience.wait(Promise.reject(error), breaker))).toEqual({ outcome: 'failed', error });
    const late = new Promise<string>((_, reject) => void setTimeout(() => reject(error), 300));
    expect(await after(301, patience.wait(late, breaker))).toEqual({ outcome: 'failed', error });
  });

  it('has one period where the breaker is open', async () => {
    breaker.open = true;
    expect(await after(260, patience.wait(never, breaker))).toEqual({ outcome: 'late', ownStall: false });
  });

  it('ends a second period that is given up, and no first one', async () => {
    const second = patience.wait(never, breaker);
    expect(await after(200, second)).toBeUndefined();
    const first = patience.wait(later(100), breaker);
    expect(await after(60, second)).toBeUndefined();
    patience.giveUp({ open: true });
    expect(await after(0, second)).toBeUndefined();
    patience.giveUp(breaker);
    expect(await after(0, second)).toEqual({ outcome: 'late', ownStall: false });
    expect(await after(50, first)).toEqual({ outcome: 'reply', value: 'yes' });
  });

  it('blames a stall of our own only where no period was without', async () => {
    // each look at the clock finds it 50 ms on, so each timer seems to run late
    let nowMs = 0;
    let step = 50;
    const stalled = makePatience({ deadlineMs: 5, monotonicNow: () => (nowMs += step) });
    expect(await after(1_000, stalled.wait(never, breaker))).toEqual({ outcome: 'late', ownStall: true });
    const wait = stalled.wait(never, breaker);
    step = 0;
    expect(await after(1_000, wait)).toEqual({ outcome: 'late', ownStall: false });
  });
});
