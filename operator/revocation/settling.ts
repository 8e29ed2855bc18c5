import type { Heartbeats, Settlement } from './heartbeats.ts';
import type { Publisher } from '../snapshot/publish.ts';

export interface SettlingOptions {
  readonly heartbeats?: Heartbeats | undefined;
  readonly publisher: Pick<Publisher, 'shardOf'>;
  /** the proxies have what is published of the key, or nobody says any more */
  readonly onSettled: (keyId: string) => void;
}

/** Whether proxies have what is published of a key. Who waits for it is told, so that nobody has to look again and again. */
export class Settling {
  readonly #options: SettlingOptions;
  readonly #waiting = new Set<string>();

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  of(keyId: string): Settlement {
    const { heartbeats, publisher } = this.#options;
    return heartbeats?.settlementOf(publisher.shardOf(keyId)) ?? 'unknown';
  }

  /** The same, and `onSettled` is called when it is no longer `waiting`. */
  await(keyId: string): Settlement {
    const settlement = this.of(keyId);
    if (settlement === 'waiting') this.#waiting.add(keyId);
    else this.#waiting.delete(keyId);
    return settlement;
  }

  /** Something new was heard of the proxies. */
  review(): void {
    for (const keyId of this.#waiting) {
      if (this.of(keyId) === 'waiting') continue;
      this.#waiting.delete(keyId);
      this.#options.onSettled(keyId);
    }
  }
}
