import type { VirtualKeyStatus } from '../../core/resources.ts';
import type { Notice } from './problem.ts';
import { toNotice, toWarning } from './problem.ts';

/** Condition reasons that are worth a warning, and under which name. */
const warnings: Readonly<Record<string, string>> = {
  SecretNotOwned: 'SecretNotOwned',
  SecretNotWritable: 'SecretNotWritable',
  SecretNotFound: 'RefNotPermitted',
  ChannelNotFound: 'RefNotPermitted',
  WeakKey: 'WeakKey',
  DuplicateCredential: 'DuplicateCredential',
  CredentialRevoked: 'CredentialRevoked',
  RevokedHashesLost: 'RevokedHashesLost',
  CredentialRecordInvalid: 'CredentialRecordInvalid',
  PolicyViolation: 'PolicyViolation',
  RecordTooLarge: 'RecordTooLarge',
  ModelNotServed: 'ModelNotServed',
};

/** Parts of messages that are an Event of their own when they appear. */
const phrases = [
  { type: 'Accepted', pattern: /the annotation .* nothing is rotated/, reason: 'RotateAnnotationInvalid' },
  { type: 'Ready', pattern: /it expires in less than .*$/, reason: 'ExpiresSoon' },
] as const;

/** Events of what is true now and was not before: as the conditions remember it, nothing is told twice, not even by the next leader. */
export function toKeyNotices(before: VirtualKeyStatus, after: VirtualKeyStatus): Notice[] {
  const notices = ['Accepted', 'CredentialsReady'].flatMap((type) => toReasonNotice(type, before, after));
  for (const { type, pattern, reason } of phrases) {
    const phrase = pattern.exec(messageOf(after, type))?.[0];
    if (phrase !== undefined && !messageOf(before, type).includes(phrase)) notices.push(toWarning(reason, phrase));
  }
  if (after.phase === 'Expired' && before.phase !== 'Expired') notices.push(toNotice('KeyExpired', 'expiresAt has passed'));
  return notices;
}

function toReasonNotice(type: string, before: VirtualKeyStatus, after: VirtualKeyStatus): Notice[] {
  const condition = after.conditions?.find((next) => next.type === type);
  const warning = warnings[condition?.reason ?? ''];
  if (condition === undefined || warning === undefined || messageOf(before, type) === condition.message) return [];
  return [toWarning(warning, condition.message)];
}

function messageOf(status: VirtualKeyStatus, type: string): string {
  return status.conditions?.find((condition) => condition.type === type)?.message ?? '';
}
