import type { VirtualKey } from '../../core/resources.ts';
import { isFinal, isSameRevocation, mergeRevocations, type Revocation } from '../../core/revocation.ts';
import type { Secret } from '../../core/secret.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import { identify } from './identity.ts';
import { toCredentialId } from './key-record.ts';
import { advanceLife, toTombstone } from './lifecycle.ts';

export interface RevocationInput {
  /** as the watch has just shown it */
  readonly virtualKey: VirtualKey;
  /** its end was seen, by a watch or by its deletionTimestamp; never merely that it is missing */
  readonly isGone: boolean;
  /** from the hashed Secret, as far as this replica knows it */
  readonly known: CredentialRecord | 'invalid' | undefined;
  readonly standing: readonly Revocation[];
  /** the view is known to be no older than what stands, so that it may also lift a suspension */
  readonly mayLift: boolean;
  /** undefined: not known yet, so single credentials are left to the leader */
  readonly installationSecret: Secret | undefined;
}

/**
 * What every replica tells the proxies at once when a VirtualKey changes, before (or without) the leader's writes. The counter comes from the same function and the same hashed
 * Secret as the leader's, so that all of them say the same. Gives only what is not known yet.
 */
export function toRevocations(input: RevocationInput): Revocation[] {
  const { known } = input;
  // without a record nothing was ever accepted of this key
  if (known === undefined) return [];
  return (known === 'invalid' ? toOfUnreadable(input) : toOfRecord(input, known)).filter((revocation) => isNews(revocation, input));
}

/** What ends at once by a change of what the proxies are told: credentials that were good and are not there any more. */
export function toEndedCredentials(before: KeyRecord | undefined, after: KeyRecord | undefined, nowMs: number): string[] {
  const left = new Set(after?.uid === before?.uid ? after?.credentials.map(({ id }) => id) : []);
  const isGood = ({ state, notAfter = Infinity }: KeyRecord['credentials'][number]): boolean => state !== 'Pending' && nowMs < notAfter;
  return (before?.credentials ?? []).filter((credential) => isGood(credential) && !left.has(credential.id)).map(({ id }) => id);
}

function toOfRecord(input: RevocationInput, known: CredentialRecord): Revocation[] {
  if (known.deletedAt !== undefined) return [];
  const isFormer = known.uid !== identify(input.virtualKey).uid;
  // whether the new object of an old name lives or not, nothing of it has been accepted yet
  if (isFormer) return input.isGone ? [] : [toDeleted(known)];
  return input.isGone ? [toDeleted(known)] : toOfLiving(input, known);
}

function toOfLiving({ virtualKey, standing, installationSecret, mayLift }: RevocationInput, known: CredentialRecord): Revocation[] {
  const { record } = advanceLife({ virtualKey, known, published: undefined, standing, nowMs: 0 });
  const ended = record.revokedAt === undefined ? toEndedByEdit(virtualKey, known, installationSecret) : [];
  const lifts = mayLift && !record.suspended && standing.some(({ uid, state }) => uid === known.uid && state === 'Suspended');
  if (record.gen === known.gen && ended.length === 0 && !lifts) return [];
  const state = record.revokedAt !== undefined ? 'Revoked' : record.suspended ? 'Suspended' : 'Active';
  // an old view must not take back what somebody with a newer one has said
  const gen = state === 'Active' && !mayLift ? known.gen : record.gen;
  return [{ keyId: known.keyId, uid: known.uid, gen, state, ended }];
}

/** Whether what stands says otherwise than this view of the key and may be the newer one: then the API server has to be asked. */
export function isContradicted(
  virtualKey: VirtualKey,
  known: CredentialRecord | 'invalid' | undefined,
  standing: readonly Revocation[],
): boolean {
  if (known === undefined || known === 'invalid') return false;
  const suspended = virtualKey.spec.suspended === true;
  return standing.some(
    ({ uid, gen, state }) => uid === known.uid && gen >= known.gen && !isFinal(state) && (state === 'Suspended') !== suspended,
  );
}

/** The end of an object with which that record was made. */
export function toDeleted(known: CredentialRecord): Revocation {
  const { keyId, uid, gen } = toTombstone(known, 1);
  return { keyId, uid, gen, state: 'Deleted', ended: [] };
}

/** Of what stands in a damaged record nothing is known, not even its counter; but what is final needs none. */
function toOfUnreadable({ virtualKey, isGone }: RevocationInput): Revocation[] {
  const { id: keyId, uid } = identify(virtualKey);
  if (isGone) return [{ keyId, uid, gen: 0, state: 'Deleted', ended: [] }];
  return virtualKey.spec.revoked === true ? [{ keyId, uid, gen: 0, state: 'Revoked', ended: [] }] : [];
}

/** Entries that were taken out of `hashes` end at once; whatever else ends single credentials is the leader's decision. */
function toEndedByEdit({ spec }: VirtualKey, known: CredentialRecord, installationSecret: Secret | undefined): string[] {
  const hashes = spec.credential?.hashes;
  if (hashes === undefined || installationSecret === undefined) return [];
  const written = new Set(hashes.map(({ hash }) => hash.replace(/^sha256:/, '')));
  const gone = known.credentials.filter(({ hash }) => !written.has(hash));
  return gone.map(({ hash }) => toCredentialId(hash, { installationSecret })).toSorted();
}

/**
 * What stands already need not be told again. An Active one is told to lift a suspension, also where nothing stands of it any more: a proxy may still hold it in memory.
 */
function isNews(revocation: Revocation, { standing, known }: RevocationInput): boolean {
  const stands = standing.find(({ uid }) => uid === revocation.uid);
  if (stands !== undefined) return !isSameRevocation(stands, mergeRevocations(stands, revocation));
  const isLift = known !== undefined && known !== 'invalid' && revocation.gen > known.gen;
  return revocation.state !== 'Active' || revocation.ended.length > 0 || isLift;
}
