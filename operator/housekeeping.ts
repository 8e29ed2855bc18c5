import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { CredentialRecord } from './credentials/hashed-secret.ts';
import { housekeepingItem } from './housekeeping-item.ts';
import { tellLost } from './credentials/revoked-hashes.ts';
import type { Watches } from './watches.ts';

/** A tombstone that could not go is looked at again after this. */
const againMs = 3_600_000;

export interface HousekeepingOptions {
  readonly watches: Watches;
  readonly clock: Clock;
  readonly log: Log;
  /** how long the record of a deleted key stays */
  readonly tombstoneMs: number;
  readonly again: (item: string, delayMs: number) => void;
}

/**
 * What no single key waits for: revoked hashes are filed in the shards, so that they may leave the records, and tombstones go when nobody asks for them any more.
 * Every step starts from what is stored and may be stopped anywhere.
 */
export async function keepHouse({ watches, clock, log, tombstoneMs, again }: HousekeepingOptions): Promise<void> {
  const { credentials, revoked } = watches;
  tellLost(revoked, log);
  await revoked.file([...credentials.revokedHashes()].filter((hash) => !revoked.isFiled(hash)));
  const nowMs = clock.now();
  const tombstones = [...credentials.tombstones()].filter(({ keyId }) => watches.findKey(keyId) === undefined);
  const overdue = tombstones.filter((record) => toEnd(record, tombstoneMs) <= nowMs);
  // A hash leaves with the tombstone only when it is known elsewhere.
  const removable = overdue.filter(({ revokedHashes }) => revokedHashes.every((hash) => revoked.isFiled(hash)));
  // A key that is made anew under the name begins above the generation with which the former one ended, tombstone or not.
  await revoked.raiseFirstGeneration(Math.max(0, ...removable.map(({ gen }) => gen)));
  for (const record of removable) await credentials.remove(record);
  const ends = tombstones.filter((record) => !overdue.includes(record)).map((record) => toEnd(record, tombstoneMs) - nowMs);
  if (overdue.length > removable.length) ends.push(againMs);
  if (ends.length > 0) again(housekeepingItem, Math.min(...ends));
}

function toEnd({ deletedAt = 0 }: CredentialRecord, tombstoneMs: number): number {
  return deletedAt + tombstoneMs;
}
