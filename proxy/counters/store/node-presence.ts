import { type Breaker, makeBreaker } from './breaker.ts';
import { makeStoreProbe } from './store-probe.ts';

/** Whether one node of the store decides, or this process has to do without it. */
export interface NodePresence {
  /** false: the failure policy decides for the keys on it */
  readonly decides: boolean;
  /** it is connected, and as far as we know it answers */
  readonly answers: boolean;
  readonly breaker: Pick<Breaker, 'open' | 'success' | 'failure'>;
  /** something about it has changed; `reason`: for the log, why it might be away */
  review(reason: string): void;
  stop(): void;
}

interface Options {
  readonly isConnected: () => boolean;
  /** resolves when it takes writes */
  readonly probe: () => Promise<void>;
  /** tells it what was decided without it; for at most a second */
  readonly tell: () => Promise<void>;
  readonly onChange: (decides: boolean, reason: string) => void;
  readonly deadlineMs: number;
  readonly monotonicNow: () => number;
}

export function makeNodePresence({ isConnected, probe, tell, onChange, deadlineMs, monotonicNow }: Options): NodePresence {
  let decides: boolean | undefined;
  let returning = false;
  let stopped = false;
  const breaker = makeBreaker({
    now: monotonicNow,
    onChange(open) {
      review('no answer in time, or errors');
      if (open) prober.soon();
    },
  });
  const prober = makeStoreProbe({
    probe,
    needed: () => breaker.open,
    onProbed: (answered) => breaker.probed(answered),
    deadlineMs,
    monotonicNow,
  });
  const answers = (): boolean => isConnected() && !breaker.open;
  const change = (next: boolean, reason: string): void => {
    if (next === decides || stopped) return;
    decides = next;
    onChange(next, reason);
  };
  /** Told before it decides again, so that it does not let the same in once more. */
  const comeBack = (): void => {
    if (returning) return;
    returning = true;
    void tell().then(() => {
      returning = false;
      change(answers(), '');
    });
  };
  const review = (reason: string): void => {
    if (!answers()) change(false, reason);
    else if (decides !== true) comeBack();
    if (breaker.open) prober.soon();
  };
  return {
    get decides() {
      return decides === true && answers();
    },
    get answers() {
      return answers();
    },
    breaker,
    review,
    stop() {
      stopped = true;
      prober.stop();
    },
  };
}
