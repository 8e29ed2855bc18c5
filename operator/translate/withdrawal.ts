import type { CredentialEntry, KeyRecord } from '../../core/snapshot.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import type { Claims } from './key-input.ts';

/**
 * What somebody has ended of a published key that would leave the snapshot: all of it (each of its credentials was ended on purpose or by time, or the VirtualKey is another one
 * now), a part (gives what is left), or nothing. A key that was not ended leaves only with the guard's consent: perhaps its record was merely lost.
 */
export function toEnding(
  published: KeyRecord,
  { record, claims, nowMs }: { record: CredentialRecord | 'invalid' | undefined; claims: Pick<Claims, 'isRevoked'>; nowMs: number },
): 'all' | KeyRecord | undefined {
  const known = record === undefined || record === 'invalid' ? undefined : record;
  if (known !== undefined && known.uid !== published.uid) return 'all';
  const hasEnded = ({ hash, notAfter }: CredentialEntry): boolean =>
    (notAfter !== undefined && notAfter <= nowMs) || known?.revokedHashes.includes(hash) === true || claims.isRevoked(hash);
  const credentials = published.credentials.filter((credential) => !hasEnded(credential));
  if (credentials.length === 0) return 'all';
  if (known === undefined) return undefined;
  const state = known.revokedAt !== undefined ? 'Revoked' : known.suspended ? 'Suspended' : published.state;
  const isSame = credentials.length === published.credentials.length && state === published.state && known.gen <= published.gen;
  return isSame ? undefined : { ...published, gen: Math.max(known.gen, published.gen), state, credentials };
}

/** The record with nothing in it that the proxies do not accept already. */
export function toKnownOnly(record: KeyRecord | undefined, published: KeyRecord | undefined): KeyRecord | undefined {
  if (record === undefined || published === undefined || published.uid !== record.uid) return undefined;
  const credentials = record.credentials.filter(({ hash }) => published.credentials.some((credential) => credential.hash === hash));
  return { ...record, credentials };
}
