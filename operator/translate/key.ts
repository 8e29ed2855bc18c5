import { isDeepStrictEqual } from 'node:util';
import type { KeyRecord } from '../../core/snapshot.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import { checkAcceptance, checkTemplate, findUnservedModels } from './acceptance.ts';
import { isFirstOwner } from './claim.ts';
import type { CredentialOutcome } from './credential-outcome.ts';
import { generateCredentials } from './generate.ts';
import { takeHashes } from './hashes.ts';
import { earliest } from './instant.ts';
import type { KeyState } from './key-conditions.ts';
import { toStatusTimes } from './key-conditions.ts';
import type { KeyInput, KeyOutput } from './key-input.ts';
import { checkRecordSize, toKeyRecord, toLastAcceptedRecord, toNotReadyRecord } from './key-record.ts';
import { toKeyStatus } from './key-status.ts';
import { advanceLife, barHashes, dropFiled } from './lifecycle.ts';
import type { Problem } from './problem.ts';
import { planRedaction } from './redaction.ts';
import { findAnnotationMistake } from './rotation.ts';
import { takeSecretRef } from './secret-ref.ts';
import { refuseUnreadable } from './unreadable-record.ts';

/**
 * The operator's mind for one key: from all that is known to all that must be. Pure; the caller writes, and asks again after every write.
 * `nowMs`: milliseconds since 1970.
 */
export function translateKey(input: KeyInput, nowMs: number): KeyOutput {
  if (input.record === 'invalid') return refuseUnreadable(input, nowMs);
  const { virtualKey, published } = input;
  const { claims, standing = [] } = input;
  const life = advanceLife({ virtualKey, known: input.record, published: published?.record, standing, claims, nowMs });
  const outcome = takeCredentials(input, life.record, nowMs);
  const barred = barHashes({ ...life.record, ...outcome.changes, credentials: outcome.credentials }, outcome.barred);
  const record = dropFiled(barred, input.record, input.claims);
  const { refused, toTell } = decide(input, record);
  const holds = isVisible(published, toTell);
  const state: KeyState = {
    ...toState(input, record),
    published: { record: toTell, holds, hindrance: holds ? undefined : input.hindrance },
    refused,
    credentialProblem: outcome.problem,
    progress: outcome.progress,
    nowMs,
  };
  return {
    record: toTell,
    urgent: !holds && (life.restricts || outcome.removes || cannotWait(published?.record, toTell)),
    hashedSecret: isDeepStrictEqual(record, input.record) ? undefined : { record, notices: [...life.notices, ...outcome.notices] },
    delivery: outcome.delivery,
    issue: outcome.issue === true,
    dropAttempt: input.attempt !== undefined && outcome.dropAttempt === true,
    status: toKeyStatus(state),
    settling: isSettling(state),
    wakeAt: earliest(nowMs, [outcome.wakeAt, ...toStatusTimes(virtualKey), ...toCredentialTimes(record)]),
  };
}

/** What nothing but the key and its neighbours decide. Of a revoked key nothing that it refers to matters any more. */
function toState({ virtualKey, channels, lastUsed, usage, settings }: KeyInput, record: CredentialRecord) {
  const isOver = record.revokedAt !== undefined;
  const unserved = isOver ? [] : findUnservedModels({ virtualKey, channels });
  return {
    virtualKey,
    record,
    settings,
    lastUsed,
    usage,
    unserved,
    mistake: findAnnotationMistake(virtualKey),
  };
}

function takeCredentials(input: KeyInput, record: CredentialRecord, nowMs: number): CredentialOutcome {
  const { credential } = input.virtualKey.spec;
  if (record.revokedAt !== undefined) return endCredentials(input, record, nowMs);
  if (credential?.hashes !== undefined) return takeHashes(input, record, nowMs);
  if (credential?.secretRef !== undefined) return takeSecretRef(input, record, nowMs);
  return generateCredentials(input, record, { nowMs, blocked: checkTemplate(input) !== undefined });
}

/**
 * A revoked key keeps its hashes, so that its holder is told why; its plaintext leaves the delivery Secret. One that was revoked before anybody knew it (manifests that go into a new cluster)
 * takes what it names, and bars it as soon as it is known to be its own.
 */
function endCredentials(input: KeyInput, record: CredentialRecord, nowMs: number): CredentialOutcome {
  const { virtualKey, settings, delivery: found, claims } = input;
  const credentials = record.credentials.length > 0 ? record.credentials : takeWritten(input, record, nowMs);
  const barred = record.credentials
    .map(({ hash }) => hash)
    .filter((hash) => !claims.isRevoked(hash) && !record.revokedHashes.includes(hash) && isFirstOwner(claims, record, hash));
  const base = { credentials, barred, removes: false, notices: [], dropAttempt: true };
  if (found?.owner !== 'this') return base;
  const hashes = record.credentials.map(({ hash }) => hash);
  const delivery = planRedaction(virtualKey, { delivery: found, publicUrl: settings.publicUrl, hashes });
  return delivery === undefined ? base : { ...base, delivery };
}

function takeWritten(input: KeyInput, record: CredentialRecord, nowMs: number): CredentialOutcome['credentials'] {
  const { credential } = input.virtualKey.spec;
  if (credential?.hashes !== undefined) return takeHashes(input, record, nowMs).credentials;
  return credential?.secretRef === undefined ? [] : takeSecretRef(input, record, nowMs).credentials;
}

interface Decision {
  /** why the spec is not taken over */
  readonly refused: Problem | undefined;
  readonly toTell: KeyRecord | undefined;
}

/** Is the spec taken over, and what are the proxies told? */
function decide(input: KeyInput, record: CredentialRecord): Decision {
  const { virtualKey, settings, channels, published } = input;
  const wanted = toKeyRecord(virtualKey, record, settings);
  const problem = checkAcceptance({ virtualKey, channels }) ?? checkRecordSize(wanted);
  const refused = record.revokedAt === undefined ? problem : undefined;
  if (record.credentials.length === 0) return { refused, toTell: undefined };
  if (problem === undefined) return { refused, toTell: wanted };
  const accepted = published?.record;
  if (accepted === undefined || accepted.uid !== record.uid || accepted.state === 'NotReady') {
    return { refused, toTell: toNotReadyRecord(virtualKey, record, settings) };
  }
  return { refused, toTell: toLastAcceptedRecord({ virtualKey, record, settings, accepted }) };
}

/** Can the proxies see exactly this? */
function isVisible(published: KeyInput['published'], toTell: KeyRecord | undefined): boolean {
  if (toTell === undefined) return published === undefined;
  return published?.atMs !== undefined && isDeepStrictEqual(published.record, toTell);
}

function isSettling({ refused, credentialProblem, published, progress }: KeyState): boolean {
  if (published.hindrance !== undefined) return false;
  return refused === undefined && credentialProblem === undefined && (!published.holds || progress !== undefined);
}

function cannotWait(before: KeyRecord | undefined, after: KeyRecord | undefined): boolean {
  return before !== undefined && (takesAway(before, after) || replaces(before, after));
}

/** A rotated key that is delivered is known to the proxies as Pending, with an end: should this process die now, nobody else would take that end away in time. */
function replaces({ credentials }: KeyRecord, after: KeyRecord | undefined): boolean {
  const active = after?.credentials.find(({ state }) => state === 'Active');
  const isPending = credentials.some(({ hash, state }) => hash === active?.hash && state === 'Pending');
  return isPending && credentials.some(({ state }) => state === 'Active');
}

function takesAway(before: KeyRecord, after: KeyRecord | undefined): boolean {
  return after === undefined || before.credentials.some(({ hash }) => !after.credentials.some((credential) => credential.hash === hash));
}

function toCredentialTimes(record: CredentialRecord): (number | undefined)[] {
  return record.credentials.flatMap(({ notBefore, notAfter }) => [notBefore, notAfter]);
}
