import type { Log } from '../../runtime/log.ts';
import type { FailurePolicy } from './fallback.ts';
import type { LimiterMetrics } from './limiter-metrics.ts';

/** Whether the store decides, or this process has to do without it. */
export interface StorePresence {
  /** the failure policy decides */
  readonly degraded: boolean;
  /** the store is back and is being told what was decided without it */
  readonly returning: boolean;
  /** something about the store has changed; `reason`: for the log, why it might be away */
  review(reason: string): void;
  /** the store may be another one than before, without an outage between */
  tellIfThere(): void;
  /** what was decided here without an outage of all: after a late answer, or while a part of a cluster was away */
  tellSoon(): void;
  /** resolves when the store is there for the first time, or after `withinMs`, whichever is first */
  ready(withinMs: number): Promise<void>;
  stop(): void;
}

interface Options {
  readonly isAway: () => boolean;
  /** tells the store what was decided without it; for at most a second */
  readonly tell: () => Promise<void>;
  /** is there anything to tell? */
  readonly waiting: () => boolean;
  readonly onAway: () => void;
  readonly policy: FailurePolicy;
  /** host and port, for the log */
  readonly where: string;
  readonly log: Log;
  readonly measured: Pick<LimiterMetrics, 'degraded'>;
}

const tellAfterMs = 50;

export function makeStorePresence({ isAway, tell, waiting, onAway, policy, where, log, measured }: Options): StorePresence {
  let degraded: boolean | undefined;
  let returning = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const firstReady = Promise.withResolvers<void>();
  measured.degraded.set(1);

  const change = (next: boolean, reason: string): void => {
    if (next === degraded || stopped) return;
    degraded = next;
    measured.degraded.set(next ? 1 : 0);
    if (next) {
      onAway();
      log.warn({ event: 'limiter_degraded', redis: where, reason, policy }, 'Redis is away: limits are degraded');
    } else {
      firstReady.resolve();
      log.info({ event: 'limiter_shared', redis: where }, 'limits are shared through Redis');
    }
  };
  const tellIfThere = (): void => {
    if (degraded === false) void tell();
  };
  const tellSoon = (): void => {
    if (timer !== undefined || stopped || degraded !== false || !waiting()) return;
    timer = setTimeout(() => {
      timer = undefined;
      tellIfThere();
    }, tellAfterMs);
  };
  /** Told before it decides again, so that it does not let the same in once more. */
  const comeBack = (): void => {
    if (returning) return;
    returning = true;
    void tell().then(() => {
      returning = false;
      change(isAway(), '');
      tellSoon();
    });
  };
  return {
    get degraded() {
      return degraded !== false;
    },
    get returning() {
      return returning;
    },
    review(reason) {
      if (degraded === true && !isAway()) comeBack();
      else change(isAway(), reason);
    },
    tellIfThere,
    tellSoon,
    async ready(withinMs) {
      let late: NodeJS.Timeout | undefined;
      const tooLate = new Promise<void>((resolve) => {
        late = setTimeout(resolve, withinMs);
      });
      await Promise.race([firstReady.promise, tooLate]);
      clearTimeout(late);
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
