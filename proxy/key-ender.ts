import { endExchange } from './exchange.ts';
import type { InFlight } from './in-flight.ts';

/** Ends the running requests of revoked and deleted keys. */
export interface KeyEnder {
  /** with a credential id only the requests made with that credential of the key */
  end(keyId: string, credentialId?: string): void;
}

/** Keys end in bursts (a namespace is deleted): what runs is gone through once for all that ended in one turn of the event loop. */
export function makeKeyEnder(inFlight: InFlight): KeyEnder {
  let waiting = new Map<string, Set<string> | 'all'>();

  function flush(): void {
    const ended = waiting;
    waiting = new Map();
    for (const exchange of inFlight.all()) {
      const credentials = ended.get(exchange.key?.record.id ?? '');
      if (credentials === undefined || (credentials !== 'all' && !credentials.has(exchange.credential?.id ?? ''))) continue;
      endExchange(exchange, { code: 'key_revoked', message: 'This key has been revoked and will not work again.' });
    }
  }

  return {
    end(keyId, credentialId) {
      if (waiting.size === 0) setImmediate(flush);
      const credentials = waiting.get(keyId) ?? new Set<string>();
      waiting.set(keyId, credentialId === undefined || credentials === 'all' ? 'all' : credentials.add(credentialId));
    },
  };
}
