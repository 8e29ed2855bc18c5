/** Runs steps in the order in which they came; one that waits holds back those behind it. */
export interface Turns {
  /** `step` gets what was waited for. It runs at once where there is nothing to wait for and nobody before it. */
  run<T>(wait: Promise<T> | undefined, step: (value: T | undefined) => void): void;
  readonly waiting: boolean;
}

/** @param onError a step has thrown that nobody stood behind any more; those behind it do not run */
export function makeTurns(onError: (error: unknown) => void): Turns {
  const next: (() => void)[] = [];
  let waiting = false;

  function start<T>(wait: Promise<T> | undefined, step: (value: T | undefined) => void): void {
    if (wait === undefined) return step(undefined);
    waiting = true;
    wait
      .then((value) => {
        waiting = false;
        step(value);
        while (!waiting && next.length > 0) next.shift()?.();
      })
      .catch(onError);
  }

  return {
    run(wait, step) {
      if (waiting) next.push(() => start(wait, step));
      else start(wait, step);
    },
    get waiting() {
      return waiting;
    },
  };
}
