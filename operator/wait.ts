import type { Clock, Timer } from '../runtime/clock.ts';

/** Resolves when the signal is aborted. */
export function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** So long, or until the signal is aborted. */
export async function wait(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  let timer: Timer | undefined;
  const elapsed = new Promise<void>((resolve) => {
    timer = clock.after(ms, resolve);
  });
  await Promise.race([elapsed, whenAborted(signal)]);
  timer?.cancel();
}
