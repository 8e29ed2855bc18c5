import { awaitReply, type ReplyOutcome } from './await-reply.ts';
import type { Breaker } from './breaker.ts';

/** How long replies of the store are waited for. */
export interface Patience {
  /** `breaker` of the node that was asked; never rejects */
  wait<T>(reply: Promise<T>, breaker: Pick<Breaker, 'open'>): Promise<ReplyOutcome<T>>;
  /** whoever waits for this node a second time waits no longer */
  giveUp(breaker: Pick<Breaker, 'open'>): void;
}

interface Options {
  /** one period */
  readonly deadlineMs: number;
  readonly monotonicNow: () => number;
}

/**
 * Waits a period for a reply, and a second one for the same while its breaker is closed: what it says late is still right, and without it the limit is not held for all
 * proxies together. A stall of our own is one only where both periods had it: a whole period without any, and without a reply, is the store's.
 */
export function makePatience({ deadlineMs, monotonicNow }: Options): Patience {
  const waiting = new Set<{ readonly breaker: Pick<Breaker, 'open'>; readonly giveUp: () => void }>();

  const waitOn = async <T>(reply: Promise<T>, breaker: Pick<Breaker, 'open'>, ownStall: boolean): Promise<ReplyOutcome<T>> => {
    const givenUp = Promise.withResolvers<ReplyOutcome<T>>();
    const entry = { breaker, giveUp: () => givenUp.resolve({ outcome: 'late', ownStall }) };
    waiting.add(entry);
    const second = await Promise.race([awaitReply(reply, { deadlineMs, monotonicNow }), givenUp.promise]);
    waiting.delete(entry);
    return second.outcome === 'late' ? { outcome: 'late', ownStall: ownStall && second.ownStall } : second;
  };
  return {
    async wait(reply, breaker) {
      const first = await awaitReply(reply, { deadlineMs, monotonicNow });
      return first.outcome === 'late' && !breaker.open ? waitOn(reply, breaker, first.ownStall) : first;
    },
    giveUp(breaker) {
      for (const each of waiting) if (each.breaker === breaker) each.giveUp();
    },
  };
}
