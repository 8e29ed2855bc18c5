import { anyObject, isSuperseded, type Revocation } from '../../core/revocation.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { describeError } from '../describe-error.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import type { Settlement } from './heartbeats.ts';
import type { Publisher } from '../snapshot/publish.ts';
import type { Revocations } from './revocations.ts';

export interface RevocationKeeperOptions {
  readonly revocations: Revocations;
  readonly publisher: Pick<Publisher, 'key'>;
  readonly recordOf: (keyId: string) => CredentialRecord | 'invalid' | undefined;
  /** of all keys; read once, when the care begins */
  readonly records: () => readonly CredentialRecord[];
  readonly settlementOf: (keyId: string) => Settlement;
  readonly clock: Clock;
  readonly log: Log;
}

const sweepEveryMs = 5_000;
const mostPerSweep = 200;
/** Where no proxy says what it has: so long every one of them surely has had what is published, unless it is cut off from the API server and then says nothing to anybody. */
const unknownMs = 60_000;
/** A name that nobody bears may be that of a key which we shall only hear of. */
const namelessMs = 600_000;
/** So long Redis may have been away when the one who was to tell of an end died: what is older the proxies have from the snapshot, or tell of themselves that they have not. */
const retoldMs = 3_600_000;

/**
 * The leader's care for what stands: it stays until every living proxy has the snapshot that says the same, is put back when Redis has forgotten it before, and what was
 * written for a name alone is put down for its object, lest it hit the next one of that name.
 */
export function keepRevocations(options: RevocationKeeperOptions): { stop(): void } {
  const { revocations, publisher, recordOf, settlementOf, clock, log } = options;
  /** since when nothing speaks for keeping it, by the very entry */
  const superfluousSince = new Map<string, number>();
  let timer: Timer;
  let stopped = false;

  if (!revocations.reaches) return { stop() {} };
  revocations.keeps = (revocation) => !isSettled(revocation);
  tellAgain();

  /**
   * What has changed of late is told again by each new leader. Whoever was to tell it may have written it down and died while Redis was away; a proxy that has lost the API server
   * would never hear of it. Where all have it, it goes with the next sweep.
   */
  function tellAgain(): void {
    for (const record of options.records()) {
      const changedAt = record.deletedAt ?? record.revokedAt ?? record.suspensionChangedAt;
      const { keyId, uid, gen } = record;
      if (changedAt !== undefined && clock.now() - changedAt <= retoldMs)
        revocations.tell({ keyId, uid, gen, state: toState(record), ended: [] });
    }
  }

  function isSettled(revocation: Revocation): boolean {
    return isSuperseded(revocation, publisher.key(revocation.keyId)?.record) && settlementOf(revocation.keyId) === 'settled';
  }

  /** Superfluous for so long as its circumstances ask for. */
  function mayGo(revocation: Revocation): boolean {
    const name = `${revocation.keyId} ${revocation.uid}`;
    const { keyId, uid } = revocation;
    const isNameless = uid === anyObject && !isKnown(recordOf(keyId));
    if (!isSuperseded(revocation, publisher.key(keyId)?.record)) {
      superfluousSince.delete(name);
      return false;
    }
    const sinceMs = superfluousSince.get(name) ?? clock.now();
    superfluousSince.set(name, sinceMs);
    const settlement = settlementOf(keyId);
    const keepMs = isNameless ? namelessMs : settlement === 'settled' ? 0 : settlement === 'unknown' ? unknownMs : Infinity;
    if (clock.now() - sinceMs < keepMs) return false;
    superfluousSince.delete(name);
    if (isNameless) log.warn({ key: keyId }, 'a revocation for a name that no VirtualKey bears is given up');
    return true;
  }

  function toConcrete({ keyId, uid }: Revocation): void {
    const record = recordOf(keyId);
    if (uid !== anyObject || !isKnown(record) || record.revokedAt === undefined) return;
    const isKnownAlready = revocations.standing(keyId).some(({ uid: known, state }) => known === record.uid && state === 'Revoked');
    if (isKnownAlready) return;
    log.warn({ audit: true, type: 'KeyRevoked', key: keyId, actor: null, source: 'break-glass' }, 'a key was revoked past the API server');
    revocations.tell({ keyId, uid: record.uid, gen: record.gen, state: 'Revoked', ended: [] });
  }

  async function sweep(): Promise<void> {
    const going: Revocation[] = [];
    for (const revocation of revocations.all()) {
      toConcrete(revocation);
      if (mayGo(revocation)) going.push(revocation);
      if (going.length >= mostPerSweep) break;
    }
    // each by itself: the master of some may be away, and the others' need not stay for it
    const outcomes = await Promise.allSettled(going.map((revocation) => revocations.remove(revocation)));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  function later(): void {
    timer = clock.after(sweepEveryMs, () => {
      void sweep()
        .catch((error: unknown) => log.warn({ error: describeError(error) }, 'superfluous revocations stay in Redis a little longer'))
        .finally(() => {
          if (!stopped) later();
        });
    });
  }
  later();

  return {
    stop() {
      stopped = true;
      timer.cancel();
      revocations.keeps = () => false;
    },
  };
}

function isKnown(record: CredentialRecord | 'invalid' | undefined): record is CredentialRecord {
  return record !== undefined && record !== 'invalid' && record.deletedAt === undefined;
}

function toState({ deletedAt, revokedAt, suspended }: CredentialRecord): Revocation['state'] {
  if (deletedAt !== undefined) return 'Deleted';
  if (revokedAt !== undefined) return 'Revoked';
  return suspended ? 'Suspended' : 'Active';
}
