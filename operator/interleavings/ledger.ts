import { sha256Hex } from '../../runtime/digest.ts';
import type { ClusterObject, ReflectedEvent, SecretObject } from '../cluster/cluster.ts';
import type { CredentialRecord, StoredCredential } from '../credentials/hashed-secret.ts';
import { parseHashedSecret } from '../credentials/hashed-secret.ts';
import { settleMs, type World } from '../test-world.ts';
import type { Leader } from './leader.ts';
import { isSecret } from './leader.ts';
import { ProxyView } from './proxy-view.ts';

export const overlapMs = 600_000;
const pendingMs = 600_000;

/** What is known of one key that an operator has put into the delivery Secret. */
interface Delivered {
  readonly hash: string;
  readonly uid: string;
  readonly atMs: number;
  /** shortest overlap that anybody asked for since the key before it */
  readonly shortestOverlapMs: number;
  /** when the proxies first knew it as more than an attempt */
  adoptedMs?: number;
  /** somebody has changed or removed the Secret before the operator could note that it was delivered */
  isSpoiled?: boolean;
  /** its ten minutes were over before anybody could note that it was delivered */
  hasLapsed?: boolean;
}

/**
 * An independent account of what a user, a proxy and a thief can see, and of what must hold at every moment. It knows nothing of how the operator decides.
 * Of the key `team/a`; what never comes back is watched for all keys.
 */
export class Ledger {
  readonly broken = new Set<string>();
  readonly delivered: Delivered[] = [];
  /** values that somebody else has put into the Secret */
  readonly planted = new Set<string>();
  /** causes for a new key: each may be answered once */
  wishes = 0;
  shortestOverlapMs = overlapMs;
  isRevoked = false;
  uid: string | undefined;
  #askedBefore: readonly number[] = [];
  readonly #world: World;
  readonly #proxy = new ProxyView();
  #record: CredentialRecord | undefined;
  readonly #owners = new Map<string, Leader>();
  readonly #attempts = new Set<string>();
  readonly #ended = new Set<string>();
  #wasAccepted = new Set<string>();

  constructor(world: World) {
    this.#world = world;
    world.cluster.reflect<SecretObject>({ kind: 'Secret', onEvent: (event) => this.#see(event) });
  }

  /** Before each write of a leader. */
  readonly onWrite = (leader: Leader, object: ClusterObject): void => {
    if (!isSecret(object)) return;
    if (object.metadata.namespace === 'system') this.#checkRecord(leader, object);
    else if (object.metadata.name === 'a-virtualkey') this.#checkDelivery(object);
  };

  /** What must hold whenever somebody looks. */
  check(): void {
    const accepted = this.#proxy.accepted(this.#world.nowMs);
    for (const hash of accepted) {
      if (this.planted.has(hash)) this.broken.add('a planted value is accepted');
      if (this.#ended.has(hash)) this.broken.add('a hash that had ended is accepted again');
      if (this.#isUndelivered(hash)) this.broken.add('an undelivered key is accepted for more than ten minutes');
    }
    for (const hash of this.#wasAccepted)
      if (!accepted.has(hash) && this.#isKnownToSomebody(hash) && this.#isOver(hash)) this.#ended.add(hash);
    this.#wasAccepted = accepted;
    for (const [index, delivered] of this.delivered.entries()) this.#checkLife(delivered, index);
  }

  /** Hashes that proxies let in for more than one key. */
  shared(): string[] {
    const owners = this.#proxy.credentials().map(({ hash }) => hash);
    return owners.filter((hash, index) => owners.indexOf(hash) !== index);
  }

  accepts(hash: string): boolean {
    return this.#proxy.accepted(this.#world.nowMs).has(hash);
  }

  /** A user has touched the delivery Secret. */
  touch(): void {
    const last = this.delivered.at(-1);
    if (last !== undefined && last.adoptedMs === undefined) last.isSpoiled = true;
  }

  #see(event: ReflectedEvent<SecretObject>): void {
    if (event.type === 'Synced') return;
    const { namespace, name } = event.object.metadata;
    if (namespace === 'snapshot') this.#seeShard(name, event.type === 'Applied' ? event.object : undefined);
    if (namespace === 'system' && event.type === 'Applied') this.#seeRecord(parseHashedSecret(event.object));
    this.check();
  }

  #seeShard(name: string, secret: SecretObject | undefined): void {
    this.#proxy.take(name, secret, this.#world.nowMs);
    const inForce = this.#proxy.credentials().filter(({ state }) => state !== 'Pending');
    for (const delivered of this.delivered)
      if (inForce.some(({ hash }) => hash === delivered.hash)) delivered.adoptedMs ??= this.#world.nowMs;
  }

  #seeRecord(record: CredentialRecord | undefined): void {
    if (record?.keyId !== 'team/a') return;
    this.#record = record;
    const live = record.credentials.filter(({ state }) => state !== 'Pending');
    if (live.length > 2) this.broken.add('more than two live credentials');
  }

  /** A successor never removes what somebody else may have delivered by now. */
  #checkRecord(leader: Leader, object: SecretObject): void {
    const next = parseHashedSecret(object);
    const before = this.#toReplaced(object);
    if (next === undefined || before === 'stale') return;
    this.#noteAttempts(leader, next);
    const known = before === undefined ? undefined : parseHashedSecret(before);
    const isEnd = known?.uid !== next.uid || next.deletedAt !== undefined || next.revokedAt !== undefined;
    if (known === undefined || isEnd) return;
    for (const pending of known.credentials) if (this.#isForeign(leader, pending, next)) this.broken.add('a foreign Pending is removed');
  }

  #noteAttempts(leader: Leader, { credentials }: CredentialRecord): void {
    for (const { attempt, hash } of credentials) {
      if (attempt === undefined) continue;
      this.#attempts.add(hash);
      this.#owners.set(attempt, this.#owners.get(attempt) ?? leader);
    }
  }

  /** What a write goes over; `stale`: it will be refused. */
  #toReplaced(object: SecretObject): SecretObject | 'stale' | undefined {
    const before = this.#stored(object);
    return before?.metadata.resourceVersion === object.metadata.resourceVersion ? before : 'stale';
  }

  #isForeign(leader: Leader, pending: StoredCredential, next: CredentialRecord): boolean {
    const isLive = pending.state === 'Pending' && (pending.until ?? 0) > this.#world.nowMs;
    const isKept = next.credentials.some(({ hash }) => hash === pending.hash);
    return isLive && !isKept && this.#owners.get(pending.attempt ?? '') !== leader;
  }

  /** Whoever reads the Secret the moment it exists is let in by every proxy. */
  #checkDelivery(object: SecretObject): void {
    const value = object.data?.['token'] ?? object.data?.['apiKey'];
    if (value === undefined || this.#toReplaced(object) === 'stale') return;
    const hash = sha256Hex(Buffer.from(value, 'base64'));
    if (this.planted.has(hash)) this.broken.add('a planted value is delivered');
    if (!this.#isDelivered(hash)) this.#noteDelivery(hash, object.metadata.ownerReferences?.[0]?.uid ?? '');
  }

  #noteDelivery(hash: string, uid: string): void {
    const { nowMs } = this.#world;
    const isLiving = uid === this.uid && !this.isRevoked;
    const settledMs = nowMs - (this.#proxy.since.get(hash) ?? Infinity);
    if (isLiving && settledMs < settleMs) this.broken.add('a key is delivered before every proxy accepts it');
    // What was asked while a key was made is answered by the one after it, and each of two leaders may have been making one.
    const shortestOverlapMs = Math.min(this.shortestOverlapMs, ...this.#askedBefore);
    this.delivered.push({ hash, uid, atMs: nowMs, shortestOverlapMs });
    this.#askedBefore = [this.shortestOverlapMs, ...this.#askedBefore].slice(0, 2);
    this.shortestOverlapMs = overlapMs;
  }

  #isDelivered(hash: string): boolean {
    return this.delivered.some((delivered) => delivered.hash === hash);
  }

  #stored({ metadata }: SecretObject): SecretObject | undefined {
    const found = this.#world.cluster
      .objects()
      .find(
        (object) => object.kind === 'Secret' && object.metadata.namespace === metadata.namespace && object.metadata.name === metadata.name,
      );
    return found;
  }

  #isUndelivered(hash: string): boolean {
    const isGenerated = this.#proxy.keys.get('team/a')?.credentials.some((credential) => credential.hash === hash) === true;
    return isGenerated && !this.#isDelivered(hash) && this.#world.nowMs > (this.#proxy.firstSeen.get(hash) ?? 0) + pendingMs;
  }

  /** A key lives from its delivery until its successor's overlap ends, or the one after that comes; and no longer. */
  #checkLife(delivered: Delivered, index: number): void {
    const { nowMs } = this.#world;
    if (delivered.uid !== this.uid || this.isRevoked) return;
    const isPublished = this.#proxy.publishes(delivered.hash, nowMs);
    if (isPublished) delivered.hasLapsed = false;
    const [next, afterNext] = this.delivered.slice(index + 1).filter(({ uid }) => uid === delivered.uid);
    if (!isPublished && !this.#mayEnd(delivered, next, afterNext)) this.broken.add('a delivered key is not accepted although it must be');
    if (isPublished && next?.adoptedMs !== undefined && nowMs >= next.adoptedMs + overlapMs)
      this.broken.add('a replaced key is accepted after its overlap');
  }

  #mayEnd(delivered: Delivered, next: Delivered | undefined, afterNext: Delivered | undefined): boolean {
    const { nowMs } = this.#world;
    // Undelivered as far as anybody has noted: its ten minutes are over, and nobody was there.
    const isUnnoted = delivered.adoptedMs === undefined && nowMs >= delivered.atMs + pendingMs - 60_000;
    delivered.hasLapsed = isUnnoted || delivered.hasLapsed === true;
    if (delivered.hasLapsed || (delivered.isSpoiled === true && delivered.adoptedMs === undefined)) return true;
    if (afterNext !== undefined) return true;
    return next !== undefined && nowMs >= next.atMs + next.shortestOverlapMs;
  }

  /** A key that was given up before it was delivered is in nobody's hands. */
  #isKnownToSomebody(hash: string): boolean {
    return !this.#attempts.has(hash) || this.#isDelivered(hash);
  }

  /** Not accepted for a reason that is for ever, as against a suspension or an attempt that may yet be found delivered. */
  #isOver(hash: string): boolean {
    const record = [...this.#proxy.keys.values()].find(({ credentials }) => credentials.some((credential) => credential.hash === hash));
    if (record === undefined) return !this.#isHeld(hash);
    if (record.state === 'Revoked') return true;
    const isRetiring = record.credentials.some((credential) => credential.hash === hash && credential.state === 'Retiring');
    return isRetiring && record.state === 'Active';
  }

  /** Its attempt has run out, but it stands in the delivery Secret: whoever comes puts it into force. */
  #isHeld(hash: string): boolean {
    return this.#record?.credentials.some((credential) => credential.hash === hash && credential.state === 'Pending') === true;
  }
}
