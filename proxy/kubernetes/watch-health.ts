import type { CallFailure } from './api-answers.ts';

export interface WatchEnd {
  readonly failure: CallFailure | undefined;
  /** it came to a version that we did not have */
  readonly told: boolean;
  readonly livedMs: number;
}

/** A watch that lived that long or told something was healthy: the next attempt follows almost at once, because a revocation may be waiting. */
const healthyMs = 5_000;
/** A server that says nothing to a second watch from the same version as well may live in a history that has not come so far yet. */
const silencesBeforeRelist = 2;
/** so many watches in a row may be over within `healthyMs`, or expire, before we take our time, even if each told something */
const shortWatchesAtOnce = 1;
const expiriesAtOnce = 2;

/** What the ends of the last watches say together, so that no server has us come back in a tight loop. */
export class WatchHealth {
  #expiries = 0;
  #shortWatches = 0;
  #silences = 0;

  /** @returns whether that watch was healthy */
  count({ failure, told, livedMs }: WatchEnd): boolean {
    const short = livedMs < healthyMs;
    this.#shortWatches = short && failure === undefined ? this.#shortWatches + 1 : 0;
    if (failure?.reason === 'gone') this.#expiries = short ? this.#expiries + 1 : 1;
    else if (!short) this.#expiries = 0;
    if (failure?.reason === 'silent') this.#silences = told ? 1 : this.#silences + 1;
    else this.#silences = 0;
    return (told || !short) && !this.repeats;
  }

  get repeats(): boolean {
    return this.#shortWatches > shortWatchesAtOnce || this.#expiries > expiriesAtOnce;
  }

  get staysSilent(): boolean {
    return this.#silences >= silencesBeforeRelist;
  }
}
