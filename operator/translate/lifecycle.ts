import { isDeepStrictEqual } from 'node:util';
import type { VirtualKey } from '../../core/resources.ts';
import { anyObject, isFinal, type Revocation } from '../../core/revocation.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import { compact } from './compact.ts';
import { isFirstOwner } from './claim.ts';
import { identify } from './identity.ts';
import type { Claims } from './key-input.ts';
import type { Notice } from './problem.ts';
import { toNotice } from './problem.ts';
import { toRequests } from './rotation.ts';

/** So many barred hashes wait in a record for a write that is made anyway. */
const mostRevoked = 32;

export interface Life {
  readonly record: CredentialRecord;
  readonly notices: readonly Notice[];
  /** a change that takes something away, so that it must reach the proxies at once */
  readonly restricts: boolean;
}

export interface LifeInput {
  readonly virtualKey: VirtualKey;
  readonly known: CredentialRecord | undefined;
  /** a second memory of a revocation and of the generation, should the hashed Secret have been restored from an older backup */
  readonly published: KeyRecord | undefined;
  /** what stands of this key beside the snapshot, whoever wrote it */
  readonly standing?: readonly Revocation[];
  /** who owns which hash; without them every hash counts as the key's own */
  readonly claims?: Claims;
  readonly nowMs: number;
}

/** Where the key stands in its life: first seen, made anew under its old name, suspended, resumed, revoked. */
export function advanceLife(input: LifeInput): Life {
  const first: Life = {
    record: input.known ?? toFirst(input.virtualKey, (input.claims?.firstGeneration ?? 0) + 1),
    notices: [],
    restricts: false,
  };
  return [renew, keepGeneration, suspendOrResume, revoke].reduce((life, advance) => advance(life, input), first);
}

function renew(life: Life, { virtualKey, claims }: LifeInput): Life {
  const { record } = life;
  if (record.uid === virtualKey.metadata.uid && record.deletedAt === undefined) return life;
  return { ...life, record: toReborn(virtualKey, toTombstone(record, 0, claims)), restricts: true };
}

function keepGeneration(life: Life, { published }: LifeInput): Life {
  if (published === undefined || published.gen <= life.record.gen) return life;
  return { ...life, record: { ...life.record, gen: published.gen } };
}

function suspendOrResume(life: Life, { virtualKey, standing, nowMs }: LifeInput): Life {
  const { record } = life;
  const suspended = virtualKey.spec.suspended === true;
  const gen = toSuspensionGen(record, suspended, standing);
  if (suspended === record.suspended) return gen === record.gen ? life : { ...life, record: { ...record, gen } };
  const next = { ...record, suspended, gen, suspensionChangedAt: nowMs };
  if (!suspended) return { ...life, record: next };
  const notice = toNotice('KeySuspended', 'every request is refused until suspended is set back');
  return { record: next, restricts: true, notices: [...life.notices, notice] };
}

/** Above everything that says otherwise, so that another replica's view of a moment that is over suspends no key for ever. */
function toSuspensionGen(record: CredentialRecord, suspended: boolean, standing: readonly Revocation[] = []): number {
  const highest = standing.find(({ uid, state }) => uid === record.uid && !isFinal(state));
  if (highest === undefined || highest.gen < record.gen) return suspended === record.suspended ? record.gen : record.gen + 1;
  return (highest.state === 'Suspended') === suspended ? highest.gen : highest.gen + 1;
}

/** Once is for ever: neither an edit nor an older hashed Secret takes a revocation back, and one that came through Redis alone is as good as any. */
function revoke(life: Life, { virtualKey, published, standing = [], claims, nowMs }: LifeInput): Life {
  const { record } = life;
  const wasRevoked =
    (published?.uid === record.uid && published.state === 'Revoked') ||
    standing.some(({ uid, state }) => (uid === record.uid || uid === anyObject) && isFinal(state));
  if (record.revokedAt !== undefined || (virtualKey.spec.revoked !== true && !wasRevoked)) return life;
  const next = { ...barCredentials(record, claims), revokedAt: nowMs, gen: record.gen + 1 };
  return { record: next, restricts: true, notices: [...life.notices, toNotice('KeyRevoked', 'every request is refused for ever')] };
}

/** The tombstone of a key whose VirtualKey is gone; the very same record when it already is one. */
export function toTombstone(record: CredentialRecord, nowMs: number, claims?: Claims): CredentialRecord {
  if (record.deletedAt !== undefined) return record;
  return { ...barCredentials(record, claims), credentials: [], gen: record.gen + 1, deletedAt: nowMs };
}

/** The record with further hashes that are never to be accepted again. */
export function barHashes(record: CredentialRecord, hashes: readonly string[]): CredentialRecord {
  const revokedHashes = [...new Set([...record.revokedHashes, ...hashes])].toSorted();
  return revokedHashes.length === record.revokedHashes.length ? record : { ...record, revokedHashes };
}

/** The record without the hashes that are filed where all keys' revoked ones are: with another write, or when it holds many. */
export function dropFiled(record: CredentialRecord, before: CredentialRecord | undefined, claims: Claims): CredentialRecord {
  const kept = record.revokedHashes.filter((hash) => !claims.isFiled(hash));
  const filed = record.revokedHashes.length - kept.length;
  const isWritten = !isDeepStrictEqual(record, before);
  if (filed === 0 || (!isWritten && record.revokedHashes.length <= mostRevoked)) return record;
  return { ...record, revokedHashes: kept, filedHashes: (record.filedHashes ?? 0) + filed };
}

/** Whoever has only written down another key's hash can bar it for nobody. */
function barCredentials(record: CredentialRecord, claims: Claims | undefined): CredentialRecord {
  const own = record.credentials.filter(({ hash }) => claims === undefined || isFirstOwner(claims, record, hash));
  return barHashes(
    record,
    own.map(({ hash }) => hash),
  );
}

/** Rotation requests that are there when the key is first made count as handled. */
function toFirst(virtualKey: VirtualKey, gen: number): CredentialRecord {
  const { id, uid } = identify(virtualKey);
  return {
    schema: 1,
    keyId: id,
    uid,
    gen,
    credentials: [],
    revokedHashes: [],
    suspended: virtualKey.spec.suspended === true,
    ...toHandled(virtualKey),
  };
}

/** Another VirtualKey under the same name: nothing of the old one's credentials is ever accepted for it. */
function toReborn(virtualKey: VirtualKey, former: CredentialRecord): CredentialRecord {
  const { gen, revokedHashes, filedHashes } = former;
  // Above the generation with which the former one ended, so that no memory of that end can be taken for this one's.
  return { ...toFirst(virtualKey, gen + 1), revokedHashes, ...compact({ filedHashes }) };
}

function toHandled(virtualKey: VirtualKey): Pick<CredentialRecord, 'handledTrigger' | 'handledRotate'> {
  const { trigger, rotate } = toRequests(virtualKey);
  return compact({ handledTrigger: trigger, handledRotate: rotate });
}
