import type { Clock } from '../../runtime/clock.ts';

/** Aborts a call when what it should do next does not happen in time. */
export interface Watchdog {
  readonly signal: AbortSignal;
  /** what was waited for in vain */
  readonly why: string | undefined;
  expect(withinMs: number, otherwise: string): void;
  end(): void;
}

/** @param outer ends the call as well */
export function makeWatchdog(clock: Clock, outer: AbortSignal): Watchdog {
  const controller = new AbortController();
  const signal = AbortSignal.any([controller.signal, outer]);
  let why: string | undefined;
  let timer: { cancel(): void } | undefined;
  return {
    signal,
    get why() {
      return why;
    },
    expect(withinMs, otherwise) {
      timer?.cancel();
      timer = clock.after(withinMs, () => {
        why = otherwise;
        controller.abort();
      });
    },
    end() {
      timer?.cancel();
    },
  };
}
