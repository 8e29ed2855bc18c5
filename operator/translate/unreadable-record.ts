import { isDeepStrictEqual } from 'node:util';
import type { VirtualKeySpec } from '../../core/resources.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import { identify } from './identity.ts';
import { earliest } from './instant.ts';
import { toStatusTimes } from './key-conditions.ts';
import type { KeyInput, KeyOutput } from './key-input.ts';
import { toKeyStatus } from './key-status.ts';
import type { Problem } from './problem.ts';

const problem: Problem = {
  reason: 'CredentialRecordInvalid',
  message:
    'the record of this key’s credentials cannot be read; restore its Secret in the system namespace from a backup, or remove it to start anew',
  stalled: true,
};

/**
 * A key whose hashed Secret is damaged. What stands in it is not known, so nothing is granted and nothing is overwritten; what the proxies know goes on,
 * except what always applies.
 */
export function refuseUnreadable(input: KeyInput, nowMs: number): KeyOutput {
  const { virtualKey, settings, published } = input;
  const { id, uid } = identify(virtualKey);
  const toTell = published?.record.uid === uid ? toRestricted(published.record, virtualKey.spec) : undefined;
  const holds = isDeepStrictEqual(published?.record, toTell);
  const record: CredentialRecord = { schema: 1, keyId: id, uid, gen: 0, credentials: [], revokedHashes: [], suspended: false };
  const nothing = { refused: undefined, progress: undefined, unserved: [], mistake: undefined };
  return {
    record: toTell,
    urgent: !holds,
    hashedSecret: undefined,
    delivery: undefined,
    issue: false,
    dropAttempt: false,
    status: toKeyStatus({
      ...nothing,
      virtualKey,
      record,
      published: { record: toTell, holds },
      credentialProblem: problem,
      settings,
      nowMs,
    }),
    settling: false,
    wakeAt: earliest(nowMs, toStatusTimes(virtualKey)),
  };
}

function toRestricted(record: KeyRecord, spec: VirtualKeySpec): KeyRecord {
  if (spec.revoked === true) return { ...record, state: 'Revoked' };
  return spec.suspended === true && record.state === 'Active' ? { ...record, state: 'Suspended' } : record;
}
