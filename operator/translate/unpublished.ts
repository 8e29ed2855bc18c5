import type { Revocation } from '../../core/revocation.ts';
import type { CredentialEntry, KeyRecord } from '../../core/snapshot.ts';

/**
 * What the proxies would have to refuse at once if the record that they have gave way to the one that they should have; undefined: nothing. Of a key that leaves the snapshot all
 * credentials end, and not the key itself: with others it may come back.
 */
export function toUnpublished(before: KeyRecord, after: KeyRecord | undefined, nowMs: number): Revocation | undefined {
  const same = after?.uid === before.uid ? after : undefined;
  const entry = { keyId: before.id, uid: before.uid, gen: same?.gen ?? before.gen };
  const turns = same?.state === before.state ? undefined : same?.state;
  if (turns === 'Revoked') return { ...entry, state: turns, ended: [] };
  const ended = toEnded(before, same, nowMs);
  if (turns === 'Suspended') return { ...entry, state: turns, ended };
  return ended.length === 0 || before.state === 'Revoked' ? undefined : { ...entry, state: 'Active', ended };
}

function toEnded(before: KeyRecord, after: KeyRecord | undefined, nowMs: number): string[] {
  const ended = before.credentials.filter((credential) => isGood(credential, nowMs) && !isLeft(credential, after, nowMs));
  return ended.map(({ id }) => id).toSorted();
}

function isGood({ notAfter = Infinity }: CredentialEntry, nowMs: number): boolean {
  return nowMs < notAfter;
}

function isLeft({ id }: CredentialEntry, after: KeyRecord | undefined, nowMs: number): boolean {
  return after?.credentials.some((credential) => credential.id === id && isGood(credential, nowMs)) === true;
}
