import type { DeliveryFacts, DeliveryLayout } from '../credentials/delivery-secret.ts';
import { isLaidOut, toDeliveryLayout } from '../credentials/delivery-secret.ts';
import type { CredentialRecord, StoredCredential } from '../credentials/hashed-secret.ts';
import { toTimestamp } from '../cluster/timestamp.ts';
import { compact } from './compact.ts';
import type { CredentialOutcome } from './credential-outcome.ts';
import { earliest } from './instant.ts';
import type { KeyInput } from './key-input.ts';
import type { Notice, Problem } from './problem.ts';
import { toNotice, toWarning } from './problem.ts';
import { planRedaction, toRedactionTime } from './redaction.ts';
import type { Rotation } from './rotation.ts';
import { findRotation, toOverlapMs, toRequests } from './rotation.ts';

/** An undelivered key lives no longer than this, whatever happens to the process that made it. */
const pendingMs = 600_000;
/** A key is delivered only while it has so much time left to become Active. */
const deliveryMarginMs = 60_000;
/** How long a new key waits for a proxy that tells that it lives but not that it has the key. */
const longestSettleMs = 30_000;
/** How often a name that is taken is looked at: its owner sends us no events. */
const takenRetryMs = 60_000;

type Step = Omit<CredentialOutcome, 'credentials' | 'barred' | 'notices' | 'removes'> & {
  readonly credentials?: readonly StoredCredential[];
  readonly barred?: readonly string[];
  readonly notices?: readonly Notice[];
};

/**
 * One step of a generated key: remember its hash as Pending → publish → let it settle → deliver → Active. Every step starts from what is stored, so that
 * whoever comes after a crash goes on where it can, and makes a new key where it cannot. A rotation takes the same steps.
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
  const { credentials: now } = current;
  const rotation = findRotation(input.virtualKey, { ...record, credentials: now }, nowMs);
  const step = toStep({ input, record, layout, credentials: now, rotation, nowMs, blocked });
  const credentials = step.credentials ?? now;
  const times = credentials.flatMap((credential) => [
    credential.notAfter ?? credential.until,
    credential.state === 'Active' ? toRedactionTime(input.virtualKey, credential) : undefined,
  ]);
  return {
    ...step,
    credentials,
    barred: [...current.barred, ...(step.barred ?? [])],
    removes: false,
    notices: [...current.notices, ...(step.notices ?? [])],
    ...compact({ wakeAt: earliest(nowMs, [step.wakeAt, rotation.nextMs, ...times]) }),
  };
}

interface StepInput {
  readonly input: KeyInput;
  readonly record: CredentialRecord;
  readonly layout: DeliveryLayout;
  readonly credentials: readonly StoredCredential[];
  readonly rotation: Rotation;
  readonly nowMs: number;
  readonly blocked: boolean;
}

function toStep(step: StepInput): Step {
  const { input, layout, credentials, rotation, nowMs, blocked } = step;
  const { delivery } = input;
  if (delivery !== undefined && delivery.owner !== 'this') return waitForName(delivery.owner, layout.name, nowMs);
  const heldHash = toHeldHash(delivery, layout, credentials);
  const held = credentials.find((credential) => credential.hash === heldHash);
  if (held?.state === 'Pending') return adopt(step, held);
  const current = held ?? credentials.find(({ state, redactedAt }) => state === 'Active' && redactedAt !== undefined);
  if (current !== undefined) {
    const redaction = redact(step, current);
    if (redaction !== undefined) return redaction;
    if (!rotation.due || blocked) return keepDelivered(step, current);
  }
  if (blocked) return { progress: 'no key is issued until the delivery template is accepted' };
  const next = issueAnother(step, current);
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

/** The last step, also of somebody else's attempt: what is delivered is in force, and what was in force is retiring. */
function adopt(step: StepInput, delivered: StoredCredential): Step {
  const { input, record, credentials, nowMs } = step;
  // A request that another key has answered meanwhile has no say in how this one's predecessor ends.
  const isAnswered = delivered.rotate !== undefined && delivered.rotate === record.handledRotate;
  const endsMs = nowMs + ((isAnswered ? undefined : delivered.overlapMs) ?? toOverlapMs(input.virtualKey));
  const replaced = credentials.find((credential) => credential.state === 'Active');
  const endsAtOnce = replaced !== undefined && endsMs <= nowMs;
  const endsEarly = endsAtOnce || (replaced !== undefined && credentials.some(({ state }) => state === 'Retiring'));
  const next = credentials.flatMap((credential) => {
    if (credential.hash === delivered.hash) return toActive(delivered, nowMs);
    if (credential === replaced) return endsAtOnce ? [] : { ...credential, state: 'Retiring' as const, notAfter: endsMs };
    if (credential.state === 'Pending') return credential.attempt === input.attempt?.id ? [] : credential;
    // At most two live credentials: what was retiring before ends here.
    return replaced === undefined ? credential : [];
  });
  return {
    credentials: next,
    barred: credentials.filter(({ hash }) => !next.some((credential) => credential.hash === hash)).map(({ hash }) => hash),
    changes: {
      ...compact({ handledTrigger: delivered.trigger, handledRotate: delivered.rotate }),
      ...(replaced === undefined ? {} : { rotatedAt: nowMs }),
      // An older shard must bring back nothing that ends before its time.
      ...(endsEarly ? { gen: record.gen + 1 } : {}),
    },
    dropAttempt: true,
    notices: [toAdoptionNotice(delivered, replaced, endsAtOnce ? undefined : endsMs)],
    ...toProgress(step, replaced, 'the key is being put into force'),
  };
}

function toActive({ hash, prefix, createdAt }: StoredCredential, nowMs: number): StoredCredential {
  return { hash, prefix, createdAt, state: 'Active', deliveredAt: nowMs };
}

function toAdoptionNotice(delivered: StoredCredential, replaced: StoredCredential | undefined, endsMs: number | undefined): Notice {
  if (replaced === undefined) return toNotice('KeyIssued', `${delivered.prefix} is in force and delivered`);
  const end = endsMs === undefined ? 'is no longer accepted' : `is accepted until ${toTimestamp(endsMs)}`;
  return toNotice('KeyRotated', `${delivered.prefix} is in force and delivered; the former key ${replaced.prefix} ${end}`);
}

/** The plaintext goes out of the Secret: that it must is remembered first, so that the Secret without it is not taken for one that somebody has emptied. */
function redact({ input, credentials, nowMs }: StepInput, current: StoredCredential): Step | undefined {
  const { virtualKey, settings, delivery, deliveryRefused } = input;
  const isDue = (toRedactionTime(virtualKey, current) ?? Infinity) <= nowMs;
  if (isDue)
    return { credentials: credentials.map((credential) => (credential === current ? { ...credential, redactedAt: nowMs } : credential)) };
  if (current.redactedAt === undefined) return undefined;
  const plan = planRedaction(virtualKey, { delivery, publicUrl: settings.publicUrl, hashes: credentials.map(({ hash }) => hash) });
  if (plan === undefined) return undefined;
  return compact({ delivery: plan, problem: deliveryRefused ? notWritable(plan.layout.name) : undefined });
}

function keepDelivered(step: StepInput, current: StoredCredential): Step {
  const { input, layout, blocked } = step;
  const { delivery, deliveryRefused } = input;
  const base = giveUpAttempt(step);
  const isKept = delivery === undefined || current.redactedAt !== undefined || isLaidOut(delivery, layout, current.hash);
  if (blocked || isKept) return base;
  const plan = { mode: 'replace' as const, keyHash: current.hash, layout };
  if (deliveryRefused) return { ...base, problem: notWritable(layout.name), delivery: plan };
  return { ...base, delivery: plan, progress: 'the delivery Secret is being rewritten' };
}

/** The key that this process was about to deliver is wanted no more. */
function giveUpAttempt({ input: { attempt }, credentials }: StepInput): Step {
  if (attempt === undefined) return {};
  const lost = credentials.filter((credential) => credential.attempt === attempt.id);
  if (lost.length === 0) return { dropAttempt: true };
  return {
    credentials: credentials.filter((credential) => !lost.includes(credential)),
    barred: lost.map(({ hash }) => hash),
    dropAttempt: true,
  };
}

/** Does the key that was made answer anything that nobody has answered yet? If not, it was made for a Secret that has been mended meanwhile, or somebody else was faster. */
function isStillAsked({ record, rotation, nowMs }: StepInput, { trigger, rotate }: StoredCredential): boolean {
  if (rotation.nextMs !== undefined && rotation.nextMs <= nowMs) return true;
  return (trigger !== undefined && trigger !== record.handledTrigger) || (rotate !== undefined && rotate !== record.handledRotate);
}

/** The steps before delivery, of this process' own attempt. */
function issueAnother(step: StepInput, current: StoredCredential | undefined): Step {
  const { input, credentials } = step;
  const { attempt, delivery } = input;
  const progress = toProgress(step, current, 'a new key is being issued');
  if (attempt === undefined) return { ...progress, issue: true };
  const pending = credentials.find((credential) => credential.hash === attempt.hash);
  if (pending !== undefined && current !== undefined && !isStillAsked(step, pending)) return { ...progress, ...giveUpAttempt(step) };
  if (pending !== undefined) return { ...progress, ...deliver(step, pending) };
  const notices = current === undefined ? toCauses(delivery, credentials) : [];
  return { ...progress, credentials: [...credentials, toPending(step)], notices };
}

function deliver({ input, layout, nowMs }: StepInput, pending: StoredCredential): Step {
  const { published, settings, delivery } = input;
  if (pending.state !== 'Pending' || (pending.until ?? 0) - nowMs < deliveryMarginMs) return { dropAttempt: true };
  // A delivered key is always published: whoever reads the Secret the moment it exists is let in by every proxy.
  const isPublished = published?.record.credentials.some((credential) => credential.hash === pending.hash) === true;
  if (published?.atMs === undefined || !isPublished) return {};
  const settledMs = published.atMs + toSettleMs(published.settlement, settings.settleMs);
  if (nowMs < settledMs) return { wakeAt: settledMs };
  return { delivery: { mode: delivery === undefined ? 'create' : 'replace', keyHash: pending.hash, layout } };
}

/** The proxies' own word is better than any time. One that lives and does not get the snapshot must not keep all keys from being issued. */
function toSettleMs(settlement: 'settled' | 'waiting' | 'unknown' | undefined, settleMs: number): number {
  if (settlement === 'settled') return 0;
  return settlement === 'waiting' ? Math.max(settleMs, longestSettleMs) : settleMs;
}

/** What was asked for when the key was made is kept with it: what is asked for later needs another one. */
function toPending({ input, rotation, nowMs }: StepInput): StoredCredential {
  const { attempt, virtualKey } = input;
  if (attempt === undefined) throw new TypeError('a Pending credential has an attempt');
  const { id, hash, prefix } = attempt;
  return compact({
    hash,
    prefix,
    state: 'Pending' as const,
    attempt: id,
    until: nowMs + pendingMs,
    createdAt: nowMs,
    ...toRequests(virtualKey),
    overlapMs: rotation.overlapMs,
  });
}

/** A key that is replaced because its time has come is as good as before until it is done; where the spec asks for another one, it is not there yet. */
function toProgress({ rotation }: StepInput, current: StoredCredential | undefined, progress: string): Pick<Step, 'progress'> {
  return current === undefined || rotation.bySpec ? { progress } : {};
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
