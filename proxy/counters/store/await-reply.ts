export type ReplyOutcome<T> =
  | { readonly outcome: 'reply'; readonly value: T }
  | { readonly outcome: 'failed'; readonly error: unknown }
  /** no answer in time; `ownStall`: this process was too busy to tell whose fault that is */
  | { readonly outcome: 'late'; readonly ownStall: boolean };

/** A timer this late says that the event loop stood still, not that it was a millisecond off. */
const stallMs = 5;
const mostExtensions = 3;

/**
 * Waits at most `deadlineMs` for a reply, not counting the time in which our own event loop stood still: a reply that has arrived meanwhile is read first (timers run before
 * the poll phase, so a bare timer would give up on it), and what the timer was late by is given once more. Never rejects. `monotonicNow` in milliseconds.
 */
export function awaitReply<T>(
  reply: Promise<T>,
  { deadlineMs, monotonicNow }: { deadlineMs: number; monotonicNow: () => number },
): Promise<ReplyOutcome<T>> {
  return new Promise((resolve) => {
    let done = false;
    let extensions = 0;
    let timer: NodeJS.Timeout;
    const end = (outcome: ReplyOutcome<T>): void => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      resolve(outcome);
    };
    const arm = (ms: number): void => {
      const dueMs = monotonicNow() + ms;
      timer = setTimeout(() => {
        const lateMs = monotonicNow() - dueMs;
        setImmediate(() => expire(lateMs));
      }, ms);
    };
    const expire = (lateMs: number): void => {
      if (done) return;
      const ownStall = lateMs > stallMs;
      if (!ownStall || extensions >= mostExtensions) return end({ outcome: 'late', ownStall });
      extensions += 1;
      arm(Math.min(lateMs, deadlineMs));
    };
    arm(deadlineMs);
    reply.then(
      (value) => end({ outcome: 'reply', value }),
      (error: unknown) => end({ outcome: 'failed', error }),
    );
  });
}
