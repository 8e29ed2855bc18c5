import { parseDurationMs } from '../../core/duration.ts';
import type { VirtualKey } from '../../core/resources.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import type { CredentialRecord, StoredCredential } from '../credentials/hashed-secret.ts';
import { compact } from './compact.ts';
import { toExpiry } from './key-record.ts';

/** The annotation that asks for one rotation: `<token>[;overlap=<duration>]`. */
export const rotateAnnotation = 'keywright.dev/rotate';
const defaultOverlapMs = 86_400_000;

/** The schema asks for an hour; this is only there so that a resource that came past the schema does not rotate without pause. */
const shortestIntervalMs = 60_000;
/** An interval is longer or shorter by up to this part, so that keys made together do not rotate together. */
const spread = 0.1;

const tokenPattern = /^[-._:+a-zA-Z0-9]{1,64}$/;
const overlapPattern = /^overlap=(.*)$/;

export interface Rotation {
  /** a key must be made in the place of the Active one */
  readonly due: boolean;
  /** it is the spec that asks (its trigger), so the key is not what was asked for until it is done */
  readonly bySpec: boolean;
  /** of this rotation alone; undefined: that of the spec */
  readonly overlapMs: number | undefined;
  /** when the interval will be over, milliseconds since 1970 */
  readonly nextMs: number | undefined;
}

/**
 * Whether a generated key is to be rotated. Compared is what is asked for with what the hashed Secret says was acted on; what was taken out of the manifest asks for nothing.
 * While a key is suspended or expired its interval rests; an explicit request is acted on all the same, since that is how a leaked key is mended before it is let in again.
 */
export function findRotation(virtualKey: VirtualKey, record: CredentialRecord, nowMs: number): Rotation {
  const request = parseRotateAnnotation(virtualKey);
  const isAsked = request.token !== undefined && request.token !== record.handledRotate;
  const { trigger } = virtualKey.spec.rotation ?? {};
  const bySpec = trigger !== undefined && trigger !== record.handledTrigger;
  const nextMs = toNextRotation(virtualKey, record, nowMs);
  const isOverdue = nextMs !== undefined && nextMs <= nowMs;
  return { due: isAsked || bySpec || isOverdue, bySpec, overlapMs: isAsked ? request.overlapMs : undefined, nextMs };
}

/** When the interval is over; undefined: it has none, or rests. */
export function toNextRotation(virtualKey: VirtualKey, record: CredentialRecord, nowMs: number): number | undefined {
  const { rotation, suspended } = virtualKey.spec;
  const intervalMs = rotation?.interval === undefined ? Number.NaN : parseDurationMs(rotation.interval);
  const active = record.credentials.find(({ state }) => state === 'Active');
  const rests = record.revokedAt !== undefined || suspended === true || (toExpiry(virtualKey) ?? Infinity) <= nowMs;
  if (Number.isNaN(intervalMs) || active === undefined || rests) return undefined;
  return toIssuedAt(active) + Math.round(Math.max(intervalMs, shortestIntervalMs) * toSpread(record.keyId));
}

/** How long the replaced key goes on working. */
export function toOverlapMs(virtualKey: VirtualKey): number {
  const { overlap } = virtualKey.spec.rotation ?? {};
  const overlapMs = overlap === undefined ? defaultOverlapMs : parseDurationMs(overlap);
  return Number.isNaN(overlapMs) ? defaultOverlapMs : overlapMs;
}

/** When a key came into its owner's hands. */
export function toIssuedAt({ deliveredAt, createdAt }: StoredCredential): number {
  return deliveredAt ?? createdAt;
}

/** What the resource asks for at this moment: a key that is made now answers all of it. */
export function toRequests(virtualKey: VirtualKey): { readonly trigger?: string; readonly rotate?: string } {
  return compact({ trigger: virtualKey.spec.rotation?.trigger, rotate: parseRotateAnnotation(virtualKey).token });
}

/** Why the annotation is not acted on. A key of another kind rotates where it comes from, and its annotation would be waited for in vain. */
export function findAnnotationMistake(virtualKey: VirtualKey): string | undefined {
  const { credential } = virtualKey.spec;
  if (virtualKey.metadata.annotations?.[rotateAnnotation] === undefined) return undefined;
  if (credential !== undefined && credential.generate === undefined) return 'applies only to a generated key';
  return parseRotateAnnotation(virtualKey).mistake;
}

interface RotateRequest {
  /** the whole annotation, if it can be read */
  readonly token?: string;
  readonly overlapMs?: number;
  readonly mistake?: string;
}

function parseRotateAnnotation({ metadata }: VirtualKey): RotateRequest {
  const text = metadata.annotations?.[rotateAnnotation];
  if (text === undefined) return {};
  const [token = '', option, ...rest] = text.split(';').map((part) => part.trim());
  if (!tokenPattern.test(token)) return { mistake: 'must begin with a token of 1 to 64 letters, digits and -._:+' };
  if (option === undefined) return { token: text };
  const overlap = overlapPattern.exec(option)?.[1];
  const overlapMs = overlap === undefined ? Number.NaN : parseDurationMs(overlap);
  if (Number.isNaN(overlapMs) || rest.length > 0)
    return { mistake: 'may have nothing behind its token but ;overlap=<duration>, such as ;overlap=1h' };
  return { token: text, overlapMs };
}

/** Between 0.9 and 1.1, always the same for a key. */
function toSpread(keyId: string): number {
  const fraction = Number.parseInt(sha256Hex(keyId).slice(0, 8), 16) / 2 ** 32;
  return 1 - spread + 2 * spread * fraction;
}
