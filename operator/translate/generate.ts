import { parseDurationMs } from '../../core/duration.ts';
import type { DeliveryFacts, DeliveryLayout } from '../delivery-secret.ts';
import { isLaidOut, toDeliveryLayout } from '../delivery-secret.ts';
import type { CredentialRecord, StoredCredential } from '../hashed-secret.ts';
import type { CredentialOutcome } from './credential-outcome.ts';
import { compact } from './compact.ts';
import { earliest } from './instant.ts';
import type { KeyInput } from './key-input.ts';
import type { Notice, Problem } from './problem.ts';
import { toNotice, toWarning } from './problem.ts';

/** An undelivered key lives no longer than this, whatever happens to the process that made it. */
export const pendingMs = 600_000;
/** A key is delivered only while it has so much time left to become Active. */
const deliveryMarginMs = 60_000;
export const defaultOverlapMs = 86_400_000;
/** How often a name that is taken is looked at: its owner sends us no events. */
const takenRetryMs = 60_000;

type Step = Omit<CredentialOutcome, 'credentials' | 'barred' | 'notices' | 'removes'> & {
  readonly credentials?: readonly StoredCredential[];
  readonly barred?: readonly string[];
  readonly notices?: readonly Notice[];
};

/**
 * One step of a generated key: remember its hash as Pending → publish → let it settle → deliver → Active. Every step starts from what is stored, so that
 * whoever comes after a crash goes on where it can, and makes a new key where it cannot.
 * `blocked`: the delivery template is refused, so nothing may be written.
 */
export function generateCredentials(
  input: KeyInput,
  record: CredentialRecord,
  options: { nowMs: number; blocked: boolean },
): CredentialOutcome {
  const { nowMs, blocked } = options;
  const layout = toDeliveryLayout(input.virtualKey, input.settings.publicUrl);
  const current = endOverdue(record.credentials, nowMs, toHeldHash(input.delivery, layout, record.credentials));
  const step = toStep({ input, layout, credentials: current.credentials, nowMs, blocked });
  const credentials = step.credentials ?? current.credentials;
  const ends = credentials.map((credential) => credential.notAfter ?? credential.until);
  return {
    ...step,
    credentials,
    barred: [...current.barred, ...(step.barred ?? [])],
    removes: false,
    notices: [...current.notices, ...(step.notices ?? [])],
    ...compact({ wakeAt: earliest(nowMs, [step.wakeAt, ...ends]) }),
  };
}

interface StepInput {
  readonly input: KeyInput;
  readonly layout: DeliveryLayout;
  readonly credentials: readonly StoredCredential[];
  readonly nowMs: number;
  readonly blocked: boolean;
}

function toStep(step: StepInput): Step {
  const { input, layout, credentials, nowMs, blocked } = step;
  const { delivery } = input;
  if (delivery !== undefined && delivery.owner !== 'this') return waitForName(delivery.owner, layout.name, nowMs);
  const heldHash = toHeldHash(delivery, layout, credentials);
  const held = credentials.find((credential) => credential.hash === heldHash);
  if (held?.state === 'Pending') return adopt(step, held);
  if (delivery !== undefined && held !== undefined) return keepDelivered(step, delivery, held);
  if (blocked) return { progress: 'no key is issued until the delivery template is accepted' };
  const next = issueAnother(step);
  return input.deliveryRefused ? { ...next, problem: notWritable(layout.name) } : next;
}

/** The Secret of a former VirtualKey goes with its owner; that of anybody else is never touched. */
function waitForName(owner: 'former' | 'other', name: string, nowMs: number): Step {
  const wakeAt = nowMs + takenRetryMs;
  if (owner === 'other') return { problem: notOwned(name), wakeAt };
  return { progress: `Secret "${name}" still belongs to the former VirtualKey of this name`, wakeAt };
}

/** The key that the Secret holds, if it is one that we may have put there: anything else counts as planted. */
function toHeldHash(
  delivery: DeliveryFacts | undefined,
  layout: DeliveryLayout,
  credentials: readonly StoredCredential[],
): string | undefined {
  if (delivery?.owner !== 'this') return undefined;
  const isOurs = (hash: string | undefined) =>
    credentials.some((credential) => credential.hash === hash && credential.state !== 'Retiring');
  const hash = delivery.entries[layout.secretKey];
  if (hash !== undefined) return isOurs(hash) ? hash : undefined;
  // The entry was renamed in the spec: the key stands under its former name.
  return Object.values(delivery.entries).find(isOurs);
}

/** The last step, also of somebody else's attempt: what is delivered is in force. */
function adopt({ input, credentials, nowMs }: StepInput, delivered: StoredCredential): Step {
  const overlap = input.virtualKey.spec.rotation?.overlap;
  const endsMs = nowMs + (overlap === undefined ? defaultOverlapMs : parseDurationMs(overlap));
  const barred: string[] = [];
  const next: StoredCredential[] = [];
  const replaces = credentials.some((credential) => credential.state === 'Active');
  for (const credential of credentials) {
    const { hash, prefix, createdAt, state } = credential;
    if (hash === delivered.hash) next.push({ hash, prefix, createdAt, state: 'Active' });
    else if (state === 'Active' && endsMs > nowMs) next.push({ ...credential, state: 'Retiring', notAfter: endsMs });
    else if (state === 'Pending' && credential.attempt !== input.attempt?.id) next.push(credential);
    // At most two live credentials: what was retiring before ends here.
    else if (state === 'Retiring' && !replaces) next.push(credential);
    else barred.push(hash);
  }
  return {
    credentials: next,
    barred,
    dropAttempt: true,
    notices: [toNotice('KeyIssued', `${delivered.prefix} is in force and delivered`)],
    progress: 'the key is being put into force',
  };
}

function keepDelivered(step: StepInput, delivery: DeliveryFacts, held: StoredCredential): Step {
  const { input, layout, credentials, blocked } = step;
  const attempt = input.attempt;
  const lost = attempt === undefined ? [] : credentials.filter((credential) => credential.attempt === attempt.id);
  const rest =
    lost.length === 0
      ? {}
      : { credentials: credentials.filter((credential) => !lost.includes(credential)), barred: lost.map(({ hash }) => hash) };
  const base: Step = { ...rest, ...(attempt === undefined ? {} : { dropAttempt: true }) };
  if (blocked || isLaidOut(delivery, layout, held.hash)) return base;
  if (input.deliveryRefused)
    return { ...base, problem: notWritable(layout.name), delivery: { mode: 'replace', keyHash: held.hash, layout } };
  return { ...base, delivery: { mode: 'replace', keyHash: held.hash, layout }, progress: 'the delivery Secret is being rewritten' };
}

/** The steps before delivery, of this process' own attempt. */
function issueAnother({ input, layout, credentials, nowMs }: StepInput): Step {
  const { attempt, published, settings, delivery } = input;
  const progress = 'a new key is being issued';
  if (attempt === undefined) return { progress, issue: true };
  const pending = credentials.find((credential) => credential.hash === attempt.hash);
  if (pending === undefined)
    return { progress, credentials: [...credentials, toPending(input, nowMs)], notices: toCauses(delivery, credentials) };
  if (pending.state !== 'Pending' || (pending.until ?? 0) - nowMs < deliveryMarginMs) return { progress, dropAttempt: true };
  // A delivered key is always published: whoever reads the Secret the moment it exists is let in by every proxy.
  const isPublished = published?.record.credentials.some((credential) => credential.hash === attempt.hash) === true;
  if (published?.atMs === undefined || !isPublished) return { progress };
  const settledMs = published.atMs + settings.settleMs;
  if (nowMs < settledMs) return { progress, wakeAt: settledMs };
  return { progress, delivery: { mode: delivery === undefined ? 'create' : 'replace', keyHash: attempt.hash, layout } };
}

function toPending({ attempt }: KeyInput, nowMs: number): StoredCredential {
  if (attempt === undefined) throw new TypeError('a Pending credential has an attempt');
  return { hash: attempt.hash, prefix: attempt.prefix, state: 'Pending', attempt: attempt.id, until: nowMs + pendingMs, createdAt: nowMs };
}

/** Why a key that was once delivered is made anew; or, for a first key, that somebody has put a Secret there in our name. */
function toCauses(delivery: DeliveryFacts | undefined, credentials: readonly StoredCredential[]): Notice[] {
  if (delivery === undefined) {
    if (!credentials.some((credential) => credential.state === 'Active')) return [];
    return [
      toWarning('DeliverySecretRecreated', 'the delivery Secret was gone: a new key is issued, the former one ends after its overlap'),
    ];
  }
  return [
    toWarning('DeliverySecretTampered', 'the delivery Secret held a value that was not issued: it is not accepted and a new key is issued'),
  ];
}

/** Takes out what has ended: overlaps, and undelivered keys whose time is up (`heldHash` has been delivered, only nobody noted it). */
function endOverdue(credentials: readonly StoredCredential[], nowMs: number, heldHash: string | undefined) {
  const over = credentials.filter((credential) => {
    if (credential.state === 'Pending') return (credential.until ?? 0) <= nowMs && credential.hash !== heldHash;
    return credential.state === 'Retiring' && credential.notAfter !== undefined && credential.notAfter <= nowMs;
  });
  return {
    credentials: over.length === 0 ? credentials : credentials.filter((credential) => !over.includes(credential)),
    barred: over.map((credential) => credential.hash),
    notices: over
      .filter((credential) => credential.state === 'Retiring')
      .map(({ prefix }) => toNotice('OverlapEnded', `the former key ${prefix} is no longer accepted`)),
  };
}

function notOwned(name: string): Problem {
  return {
    reason: 'SecretNotOwned',
    message: `Secret "${name}" exists and is not this key's; it is not touched. Remove it or choose another name in a new VirtualKey`,
    stalled: true,
  };
}

function notWritable(name: string): Problem {
  return {
    reason: 'SecretNotWritable',
    message: `Secret "${name}" cannot be written (quota, admission, immutable, or its namespace is going away)`,
    stalled: false,
  };
}
