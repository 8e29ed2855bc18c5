import type { VirtualKeyCredentialStatus, VirtualKeyStatus } from '../../core/resources.ts';
import { toTimestamp } from '../cluster/timestamp.ts';
import { toConditions } from '../conditions.ts';
import { toDeliveryName } from '../credentials/delivery-secret.ts';
import type { StoredCredential } from '../credentials/hashed-secret.ts';
import { compact } from './compact.ts';
import { identify } from './identity.ts';
import type { KeyState } from './key-conditions.ts';
import { toKeyConditions } from './key-conditions.ts';
import { toKeyNotices } from './key-notices.ts';
import { toCredentialId, toExpiry } from './key-record.ts';
import type { Notice } from './problem.ts';
import { toNextRotation } from './rotation.ts';
import { withBudgetsOf } from '../usage/usage-status.ts';

/** The status of a key, and the Events that become true with it. Fields that are not ours stay as they are. */
export function toKeyStatus(state: KeyState): { value: VirtualKeyStatus; notices: Notice[] } {
  const { virtualKey, record, nowMs } = state;
  const before = virtualKey.status ?? {};
  const { generation } = identify(virtualKey);
  const value: VirtualKeyStatus = compact({
    ...before,
    observedGeneration: generation,
    phase: toPhase(state),
    keyId: record.keyId,
    prefix: toPrefix(record.credentials),
    secretName: isGenerated(state) ? toDeliveryName(virtualKey) : undefined,
    credentials: record.credentials
      .filter(({ state: credential }) => credential !== 'Pending')
      .map((credential) => toCredentialStatus(credential, before, state)),
    lastRotationTime: toTime(record.rotatedAt),
    nextRotationTime: isGenerated(state) ? toTime(toNextRotation(virtualKey, record, nowMs)) : undefined,
    lastHandledTrigger: record.handledTrigger,
    lastHandledRotate: record.handledRotate,
    usage: withBudgetsOf(state.usage ?? before.usage, virtualKey.spec.budgets),
    conditions: toConditions(toKeyConditions(state), before.conditions ?? [], { generation, nowMs }),
  });
  return { value, notices: toKeyNotices(before, value) };
}

function toTime(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : toTimestamp(ms);
}

function isGenerated({ virtualKey }: KeyState): boolean {
  const { credential } = virtualKey.spec;
  return credential === undefined || credential.generate !== undefined;
}

/** The display prefix of the newest key. */
function toPrefix(credentials: readonly StoredCredential[]): string | undefined {
  const active = credentials.filter(({ state, prefix }) => state === 'Active' && prefix !== '');
  return active.toSorted((left, right) => right.createdAt - left.createdAt)[0]?.prefix;
}

/** What the holder of the key meets; whether the last edit was taken is for the conditions. */
function toPhase(state: KeyState): VirtualKeyStatus['phase'] {
  const { record, virtualKey, published, nowMs } = state;
  const expiresAt = published.record?.expiresAt ?? toExpiry(virtualKey) ?? Infinity;
  if (record.revokedAt !== undefined) return 'Revoked';
  if (published.record?.state === 'Suspended' || virtualKey.spec.suspended === true) return 'Suspended';
  if (expiresAt <= nowMs) return 'Expired';
  if (isInForce(state)) return 'Active';
  return isStalled(state) ? 'Failed' : 'Pending';
}

function isInForce({ published, record }: KeyState): boolean {
  return published.holds && published.record?.state === 'Active' && record.credentials.some(({ state }) => state === 'Active');
}

function isStalled({ refused, credentialProblem }: KeyState): boolean {
  return (refused ?? credentialProblem)?.stalled === true;
}

function toCredentialStatus(credential: StoredCredential, before: VirtualKeyStatus, state: KeyState): VirtualKeyCredentialStatus {
  const { hash, prefix, createdAt, notBefore, notAfter } = credential;
  const id = toCredentialId(hash, state.settings);
  return compact({
    id,
    prefix: prefix === '' ? undefined : prefix,
    state: toCredentialState(credential, state),
    createdAt: toTimestamp(createdAt),
    notBefore: notBefore === undefined ? undefined : toTimestamp(notBefore),
    notAfter: notAfter === undefined ? undefined : toTimestamp(notAfter),
    lastUsedTime: toLastUsedTime(before.credentials?.find((known) => known.id === id)?.lastUsedTime, state.lastUsed?.get(id)),
  });
}

/** The later of what was shown and what is known now: a proxy's clock may be behind. */
function toLastUsedTime(shown: string | undefined, knownMs: number | undefined): string | undefined {
  return knownMs === undefined || (shown !== undefined && knownMs <= Date.parse(shown)) ? shown : toTimestamp(knownMs);
}

function toCredentialState(
  { state, notBefore = 0, notAfter = Infinity }: StoredCredential,
  { record, nowMs }: KeyState,
): VirtualKeyCredentialStatus['state'] {
  if (record.revokedAt !== undefined) return 'Revoked';
  if (notAfter <= nowMs) return 'Expired';
  if (notBefore > nowMs) return 'NotYetValid';
  return state === 'Retiring' ? 'Retiring' : 'Active';
}
