import type { Log } from '../../runtime/log.ts';
import type { EndedKey } from './snapshot-tables.ts';

export type EndedListener = (keyId: string, reason: 'revoked' | 'deleted', credentialId?: string) => void;

/** Who wants to know that a key has ended. One that fails must not keep the others from it. */
export class EndedListeners {
  readonly #log: Log;
  readonly #listeners = new Set<EndedListener>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Gives a function that ends the subscription. */
  add(listener: EndedListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  tell(ended: readonly EndedKey[]): void {
    for (const { keyId, reason, credentialId } of ended) {
      for (const listener of this.#listeners) {
        try {
          listener(keyId, reason, credentialId);
        } catch (error) {
          this.#log.error({ event: 'snapshot_listener_failed', key: keyId, err: error }, 'streams of an ended key may still run');
        }
      }
    }
  }
}
