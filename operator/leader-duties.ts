import type { Secret } from '../core/secret.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Heartbeats } from './revocation/heartbeats.ts';
import { LastUsedMirror, type LastUsedSource } from './credentials/last-used.ts';
import type { Publisher } from './snapshot/publish.ts';
import { keepRevocations } from './revocation/revocation-keeper.ts';
import type { Revocations } from './revocation/revocations.ts';
import { Settling } from './revocation/settling.ts';
import type { Watches } from './watches.ts';

export interface LeaderDutiesOptions {
  readonly watches: Watches;
  readonly publisher: Publisher;
  readonly revocations: Revocations;
  readonly heartbeats?: Heartbeats | undefined;
  readonly lastUsed?: LastUsedSource | undefined;
  readonly installationSecret: Secret;
  readonly clock: Clock;
  readonly log: Log;
  readonly again: (item: string, delayMs?: number) => void;
}

export interface LeaderDuties {
  readonly settling: Settling;
  readonly lastUsed: LastUsedMirror;
  stop(): void;
}

/** What a leader, and nobody else, does with what it and the proxies tell each other through Redis. Without Redis there is nothing to do. */
export function startLeaderDuties(options: LeaderDutiesOptions): LeaderDuties {
  const { watches, again, lastUsed: source } = options;
  const settling = new Settling({ ...options, onSettled: (keyId) => again(`VirtualKey/${keyId}`) });
  const lastUsed = new LastUsedMirror({
    ...options,
    source,
    records: () => watches.credentials.living(),
    onChange: (keyId, delayMs) => again(`VirtualKey/${keyId}`, delayMs),
  });
  const keeper = keepRevocations({
    ...options,
    recordOf: (keyId) => watches.credentials.get(keyId),
    settlementOf: (keyId) => settling.of(keyId),
  });
  return {
    settling,
    lastUsed,
    stop() {
      keeper.stop();
      lastUsed.stop();
    },
  };
}
