import type { CredentialRecord, StoredCredential } from '../credentials/hashed-secret.ts';
import type { Claims } from './key-input.ts';
import type { Problem } from './problem.ts';

/** Why a hash is not this key's to use: it was revoked before, or another key recorded it first (the tie goes by UID). */
export function findClaimProblem(options: {
  claims: Claims;
  record: CredentialRecord;
  credential: Pick<StoredCredential, 'hash'>;
  what: string;
}): Problem | undefined {
  const { claims, record, credential, what } = options;
  const { hash } = credential;
  if (claims.isRevoked(hash) || record.revokedHashes.includes(hash)) {
    return { reason: 'CredentialRevoked', message: `${what} was revoked before and is never accepted again`, stalled: true };
  }
  const isKnown = record.credentials.some((known) => known.hash === hash);
  if (!isKnown && claims.isUnknown(hash)) {
    const message = `whether ${what} was revoked before cannot be told: a Secret with revoked hashes is missing in the system namespace`;
    return { reason: 'RevokedHashesLost', message, stalled: false };
  }
  if (isFirstOwner(claims, record, hash)) return undefined;
  return { reason: 'DuplicateCredential', message: `${what} already belongs to another key`, stalled: true };
}

/** Whether no other key has recorded the hash before this one. */
export function isFirstOwner(claims: Claims, record: CredentialRecord, hash: string): boolean {
  const owner = claims.firstOwner(hash, record.keyId);
  const own = record.credentials.find((known) => known.hash === hash);
  if (owner === undefined) return true;
  return own !== undefined && (own.createdAt < owner.createdAt || (own.createdAt === owner.createdAt && record.uid < owner.uid));
}
