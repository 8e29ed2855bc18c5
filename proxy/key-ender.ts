import { endExchange } from './exchange.ts';
import type { InFlight } from './in-flight.ts';
import { endsStreams, type Revocations } from './keys/revocations.ts';

/** Ends the running requests of revoked and deleted keys. */
export interface KeyEnder {
  /** with a credential id only the requests made with that credential of the key */
  end(keyId: string, credentialId?: string): void;
  /** those of the key that a revocation overrules now */
  endOverruled(keyId: string): void;
}

/** Keys end in bursts (a namespace is deleted): what runs is gone through once for all that ended in one turn of the event loop. */
export function makeKeyEnder(inFlight: InFlight, revocations: Pick<Revocations, 'overruling'>): KeyEnder {
  let waiting = new Map<string, Set<string> | 'all'>();
  let overruled = new Set<string>();

  function flush(): void {
    const [ended, suspects] = [waiting, overruled];
    waiting = new Map();
    overruled = new Set();
    for (const exchange of inFlight.all()) {
      const { key, credential } = exchange;
      if (key === undefined || credential === undefined) continue;
      const credentials = ended.get(key.record.id);
      const hasEnded = credentials === 'all' || credentials?.has(credential.id) === true;
      if (!hasEnded && !(suspects.has(key.record.id) && endsStreams(revocations.overruling(key.record, credential.id)))) continue;
      endExchange(exchange, { code: 'key_revoked', message: 'This key has been revoked and will not work again.' });
    }
  }

  function schedule(): void {
    if (waiting.size === 0 && overruled.size === 0) setImmediate(flush);
  }

  return {
    end(keyId, credentialId) {
      schedule();
      const credentials = waiting.get(keyId) ?? new Set<string>();
      waiting.set(keyId, credentialId === undefined || credentials === 'all' ? 'all' : credentials.add(credentialId));
    },
    endOverruled(keyId) {
      schedule();
      overruled.add(keyId);
    },
  };
}
