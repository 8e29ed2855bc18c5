import type { VirtualKey } from '../../core/resources.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import type { NextCondition } from '../conditions.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import type { KeyInput, TranslateSettings } from './key-input.ts';
import { toExpiry } from './key-record.ts';
import type { Problem } from './problem.ts';
import type { Reason } from './reasons.ts';
import { rotateAnnotation } from './rotation.ts';

/** What the status of a key is made from. */
export interface KeyState {
  readonly virtualKey: VirtualKey;
  readonly record: CredentialRecord;
  /** what the proxies must be told, and whether they have been */
  readonly published: { readonly record: KeyRecord | undefined } & Publication;
  /** why the spec is not taken over */
  readonly refused: Problem | undefined;
  readonly credentialProblem: Problem | undefined;
  /** what is being done about the credentials */
  readonly progress: string | undefined;
  readonly unserved: readonly string[];
  /** what is wrong with the annotation that asks for a rotation */
  readonly mistake: string | undefined;
  /** by credential id, milliseconds since 1970 */
  readonly lastUsed?: ReadonlyMap<string, number> | undefined;
  /** as in `KeyInput` */
  readonly usage?: KeyInput['usage'];
  readonly settings: TranslateSettings;
  readonly nowMs: number;
}

/** Do the proxies know what they must, and if not, what is in the way? */
export interface Publication {
  readonly holds: boolean;
  readonly hindrance?: string | undefined;
}

const dayMs = 86_400_000;

/** All conditions of a VirtualKey, in the order in which they are shown. */
export function toKeyConditions(state: KeyState): NextCondition[] {
  return [toReady(state), toAccepted(state), toCredentialsReady(state), toPublished(state.published), ...toHindrance(state)];
}

/** When a status changes by time alone. */
export function toStatusTimes(virtualKey: VirtualKey): readonly number[] {
  const expiresAt = toExpiry(virtualKey);
  return expiresAt === undefined ? [] : [expiresAt - 7 * dayMs, expiresAt - dayMs, expiresAt];
}

export function toPublished(publication: Publication): NextCondition {
  if (!publication.holds) return { type: 'Published', status: 'False', ...toPublishing(publication) };
  return { type: 'Published', status: 'True', reason: 'Published', message: 'the snapshot of the proxies holds this state' };
}

function toPublishing({ hindrance }: Publication): { reason: Reason; message: string } {
  if (hindrance !== undefined) return { reason: 'SnapshotBlocked', message: hindrance };
  return { reason: 'Publishing', message: 'the proxies are being told' };
}

/** kstatus: what only an edit mends is Stalled; what mends itself is Reconciling; otherwise neither is there. */
export function toHindrances(problem: Problem | undefined, progress: { reason: Reason; message: string } | undefined): NextCondition[] {
  const { reason, message } = problem ?? progress ?? { reason: 'Published', message: '' };
  if (problem === undefined && progress === undefined) return [];
  return [{ type: problem?.stalled === true ? 'Stalled' : 'Reconciling', status: 'True', reason, message }];
}

/** A revoked key has reached its end, whatever is wrong with it. */
function findProblem({ record, refused, credentialProblem }: KeyState): Problem | undefined {
  return record.revokedAt === undefined ? (refused ?? credentialProblem) : undefined;
}

function toHindrance(state: KeyState): NextCondition[] {
  const { progress, published } = state;
  const waits = published.holds ? undefined : toPublishing(published);
  return toHindrances(findProblem(state), progress === undefined ? waits : { reason: 'Issuing', message: progress });
}

function toReady(state: KeyState): NextCondition {
  const problem = findProblem(state);
  const unready = problem ?? (state.published.holds ? undefined : toPublishing(state.published));
  if (unready !== undefined) return { type: 'Ready', status: 'False', reason: unready.reason, message: unready.message };
  if (state.record.revokedAt === undefined && state.progress !== undefined)
    return { type: 'Ready', status: 'False', reason: 'Issuing', message: state.progress };
  // Suspended, Revoked and Expired are what was asked for: otherwise one revoked key would block every release.
  return { type: 'Ready', status: 'True', ...toReached(state) };
}

function toReached({ record, virtualKey, nowMs }: KeyState): { reason: Reason; message: string } {
  const expiresAt = toExpiry(virtualKey) ?? Infinity;
  if (record.revokedAt !== undefined) return { reason: 'Revoked', message: 'every request is refused for ever' };
  if (virtualKey.spec.suspended === true) return { reason: 'Suspended', message: 'every request is refused until suspended is set back' };
  if (expiresAt <= nowMs) return { reason: 'Expired', message: 'expiresAt has passed' };
  return { reason: 'Issued', message: `the key is in force${toExpiryHint(expiresAt - nowMs)}` };
}

function toExpiryHint(leftMs: number): string {
  if (leftMs > 7 * dayMs) return '';
  return leftMs > dayMs ? '; it expires in less than 7 days' : '; it expires in less than 1 day';
}

function toAccepted({ refused, published, unserved, mistake }: KeyState): NextCondition {
  if (refused !== undefined) {
    const inForce =
      published.record === undefined || published.record.state === 'NotReady'
        ? ''
        : `; generation ${published.record.generation} stays in force`;
    return { type: 'Accepted', status: 'False', reason: refused.reason, message: `${refused.message}${inForce}` };
  }
  const missing = unserved.length === 0 ? [] : [`no Channel serves ${unserved.map((model) => `"${model}"`).join(', ')}`];
  const ignored = mistake === undefined ? [] : [`the annotation ${rotateAnnotation} ${mistake}; nothing is rotated`];
  if (missing.length + ignored.length === 0)
    return { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'references, models and limits resolve' };
  return {
    type: 'Accepted',
    status: 'True',
    reason: missing.length > 0 ? 'ModelNotServed' : 'RotateAnnotationInvalid',
    message: [...ignored, ...missing].join('; '),
  };
}

function toCredentialsReady({ record, credentialProblem, progress }: KeyState): NextCondition {
  if (record.revokedAt === undefined && credentialProblem !== undefined) {
    return { type: 'CredentialsReady', status: 'False', reason: credentialProblem.reason, message: credentialProblem.message };
  }
  if (progress !== undefined) return { type: 'CredentialsReady', status: 'False', reason: 'Issuing', message: progress };
  return { type: 'CredentialsReady', status: 'True', reason: 'Resolved', message: 'all credentials are in force' };
}
