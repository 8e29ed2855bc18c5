import { tagOf } from '../../../core/hash-tag.ts';
import type { Decision, Lost, Moved, Overruled } from '../answers.ts';
import type { Breaker } from './breaker.ts';
import type { Admission } from '../counters.ts';
import { type Booking, type Leases, longestLeaseMs } from '../ahead/leases.ts';
import type { LimiterMetrics } from '../limiter-metrics.ts';
import { makePatience } from './patience.ts';
import { toAdmitCall, toDecisions } from '../scripts/scripts.ts';
import type { ScriptStore } from '../scripts/script-store.ts';
import type { StoreClock } from './store-clock.ts';

export type Decided = Decision | Overruled | Lost | Moved;

interface Options {
  readonly admissions: ScriptStore;
  /** absent: nothing is booked in advance */
  readonly leases: Leases | undefined;
  /** of the node that holds this tag now */
  readonly breakerOf: (tag: string) => Pick<Breaker, 'open' | 'success' | 'failure'>;
  readonly storeClock: StoreClock;
  /** the life of the store that holds this tag, as this process knows it: nothing is decided in another */
  readonly lifeOf: (tag: string) => string;
  readonly measured: LimiterMetrics;
  readonly deadlineMs: number;
  readonly monotonicNow: () => number;
  readonly clockText: () => string;
  /** nobody knows whether it was admitted, or will be: it must not stay reserved */
  readonly release: (admission: Admission) => void;
}

/**
 * Asks the store for admissions that share a tag: one call and one answer for all of them, so that a late one is one failure of the store, however many waited for it. What is worth
 * booking in advance goes along. Gives a decision for each, or none at all where the store does not answer in time.
 */
export function makeAskStore(options: Options): (batch: readonly Admission[]) => Promise<readonly Decided[]> {
  const { admissions, leases, breakerOf, storeClock, measured, lifeOf, deadlineMs, monotonicNow, clockText, release } = options;

  const patience = makePatience({ deadlineMs, monotonicNow });
  const noteBooking = (booking: Booking, decided: Decided | undefined, sentMs: number): void => {
    // what was lost comes back in a moment
    if (decided === undefined || 'lost' in decided || 'moved' in decided || 'overruled' in decided) leases?.undecided(booking, 0);
    else leases?.booked(booking, decided, sentMs);
  };
  const giveUp = (bookings: readonly Booking[]): void => {
    for (const booking of bookings) leases?.undecided(booking, longestLeaseMs);
  };
  const wanted = (batch: readonly Admission[]): readonly Booking[] => leases?.wanted(batch) ?? [];
  return async (batch) => {
    measured.commands.inc({ command: 'admit' });
    // after them, so that nothing is booked that one of them needs
    const bookings = wanted(batch);
    const asked = [...batch, ...bookings];
    const startedMs = monotonicNow();
    const tag = batch[0] === undefined ? '' : tagOf(batch[0].keyId);
    // its answer says nothing about a successor
    const breaker = breakerOf(tag);
    const call = toAdmitCall(asked, clockText(), admissions.epochOf(tag), lifeOf(tag));
    const decisions = admissions.run(call).then((reply) => toDecisions(reply, asked.length));
    const reply = await patience.wait(decisions, breaker);
    const receivedMs = monotonicNow();
    for (const _ of batch) measured.duration.observe((receivedMs - startedMs) / 1_000);
    if (reply.outcome === 'reply') {
      if (receivedMs - startedMs > deadlineMs) measured.late.inc(batch.length);
      breaker.success();
      for (const { timeMs } of reply.value) storeClock.heard(timeMs, startedMs, receivedMs);
      for (const [position, booking] of bookings.entries()) noteBooking(booking, reply.value[batch.length + position], startedMs);
      return reply.value.slice(0, batch.length);
    }
    if (reply.outcome === 'late') measured.timeouts.inc(batch.length);
    if (reply.outcome === 'failed' || !reply.ownStall) breaker.failure();
    if (breaker.open) patience.giveUp(breaker);
    for (const admission of asked) release(admission);
    giveUp(bookings);
    return [];
  };
}
