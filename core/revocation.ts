import type { KeyRecord } from './snapshot.ts';

/**
 * What overrules the snapshot until the snapshot says the same: a key that was revoked, suspended, deleted, or lost a credential at once. It only ever takes away.
 * It reaches proxies beside the snapshot (through Redis, or a small Secret), so that either way alone is enough.
 */
export interface Revocation {
  readonly keyId: string;
  /** of the VirtualKey; `anyObject`: whichever has that name, for somebody who has nothing but Redis left */
  readonly uid: string;
  /** the key's revocation counter with this change */
  readonly gen: number;
  readonly state: RevocationState;
  /** ids of credentials that ended at once, sorted; the rest of the key goes on */
  readonly ended: readonly string[];
}

/** Active: lifts a suspension with a lower `gen`, or carries nothing but `ended`. */
export type RevocationState = 'Active' | 'Suspended' | 'Revoked' | 'Deleted';

export const anyObject = '*';

/** What a revocation says of one credential of a record. */
export type Overruling = 'Suspended' | 'Revoked' | 'Deleted' | 'CredentialEnded';

type Target = Pick<KeyRecord, 'uid' | 'gen'>;

/** A key has few credentials that can end; the bound keeps an entry small whoever wrote it. */
const mostEnded = 64;

/**
 * Both at once: a monotonic maximum, whatever the order in which they are met. Revoked and Deleted are final; else the higher `gen` says whether the key is suspended, at a tie
 * the stricter; ended credentials stay ended. Only for revocations of the same object.
 */
export function mergeRevocations(left: Revocation, right: Revocation): Revocation {
  if (!isSameSubject(left, right)) throw new TypeError('revocations of different objects are not merged');
  const { keyId, uid } = left;
  const gen = Math.max(left.gen, right.gen);
  const state = joinStates(left, right);
  const ended = isFinal(state) ? [] : [...new Set([...left.ended, ...right.ended])].toSorted().slice(0, mostEnded);
  return { keyId, uid, gen, state, ended };
}

/** Whether both say the same of the same object. */
export function isSameRevocation(left: Revocation, right: Revocation): boolean {
  return isSameSubject(left, right) && toRevocationValue(left) === toRevocationValue(right);
}

/** What it says of this credential of this record; undefined: nothing. Allocates nothing: it is asked for every request of a key that has an entry. */
export function overruling(revocation: Revocation, record: Target, credentialId: string): Overruling | undefined {
  const { uid, state } = revocation;
  if (uid !== record.uid && uid !== anyObject) return undefined;
  if (state === 'Revoked' || state === 'Deleted') return state;
  if (revocation.ended.includes(credentialId)) return 'CredentialEnded';
  return state === 'Suspended' && record.gen < revocation.gen ? 'Suspended' : undefined;
}

/** Whether the snapshot with this record of the key (undefined: none) says all that the revocation says, so that it is needed no longer where that snapshot is in force. */
export function isSuperseded(
  revocation: Revocation,
  record: Pick<KeyRecord, 'uid' | 'gen' | 'state' | 'credentials'> | undefined,
): boolean {
  const { uid, gen, state, ended } = revocation;
  if (record === undefined || (uid !== record.uid && uid !== anyObject)) return true;
  if (state === 'Deleted') return false;
  if (state === 'Revoked') return record.state === 'Revoked';
  return record.gen >= gen && !record.credentials.some(({ id }) => ended.includes(id));
}

/** States that nothing lifts again. */
export function isFinal(state: RevocationState): state is 'Revoked' | 'Deleted' {
  return state === 'Revoked' || state === 'Deleted';
}

/** The channel on which writers tell readers of each change: the field, a blank, the value. */
export const revocationChannel = 'kw:revocations';

/** The Redis hash with the revocations of all keys of one tag. */
export function revocationsKey(tag: string): string {
  return `kw:{${tag}}:revocations`;
}

/** Where on the board the revocations of this object stand. */
export function toRevocationField({ keyId, uid }: Pick<Revocation, 'keyId' | 'uid'>): string {
  return `${keyId} ${uid}`;
}

/** `GEN STATE` and, after another blank, the ended credentials: short, and a Lua pattern reads it. */
export function toRevocationValue({ gen, state, ended }: Revocation): string {
  return ended.length === 0 ? `${gen} ${state}` : `${gen} ${state} ${ended.join()}`;
}

const fieldPattern = /^([a-z0-9.-]{1,63}\/[a-z0-9.-]{1,253}) ([A-Za-z0-9-]{1,64}|\*)$/;
const valuePattern = /^(\d{1,15}) (Active|Suspended|Revoked|Deleted)(?: ([0-9a-f]{12}(?:,[0-9a-f]{12})*))?$/;

/** The revocation in a field of the hash; undefined when it is none that could have been written. */
export function parseRevocation(field: string, value: string): Revocation | undefined {
  const [, keyId, uid] = fieldPattern.exec(field) ?? [];
  const [, gen, state, list] = valuePattern.exec(value) ?? [];
  if (keyId === undefined || uid === undefined || state === undefined) return undefined;
  // whoever has no cluster cannot know more than that the key must go
  if (uid === anyObject && state !== 'Revoked') return undefined;
  const ended = list?.split(',') ?? [];
  if (ended.length > mostEnded) return undefined;
  return { keyId, uid, gen: Number(gen), state: state as RevocationState, ended: ended.toSorted() };
}

/** The same from a message on the channel. */
export function parseRevocationMessage(message: string): Revocation | undefined {
  const blank = message.indexOf(' ', message.indexOf(' ') + 1);
  return blank < 0 ? undefined : parseRevocation(message.slice(0, blank), message.slice(blank + 1));
}

function isSameSubject(left: Revocation, right: Revocation): boolean {
  return left.keyId === right.keyId && left.uid === right.uid;
}

const strictness: Readonly<Record<RevocationState, number>> = { Active: 0, Suspended: 1, Revoked: 2, Deleted: 3 };

function joinStates(left: Revocation, right: Revocation): RevocationState {
  const isStricter = strictness[left.state] >= strictness[right.state];
  if (left.gen === right.gen || isFinal(left.state) || isFinal(right.state)) return isStricter ? left.state : right.state;
  return left.gen > right.gen ? left.state : right.state;
}

/** Those in a hash as Redis gives it: field, value, field, value … What cannot be read is passed over. */
export function parseRevocations(flat: readonly unknown[]): Revocation[] {
  const found: Revocation[] = [];
  for (let position = 0; position + 1 < flat.length; position += 2) {
    const revocation = parseRevocation(String(flat[position]), String(flat[position + 1]));
    if (revocation !== undefined) found.push(revocation);
  }
  return found;
}
