import type { Registry } from 'prom-client';
import { tagOf } from '../../core/hash-tag.ts';
import type { VirtualKey } from '../../core/resources.ts';
import { isSameRevocation, mergeRevocations, type Revocation, toRevocationField } from '../../core/revocation.ts';
import type { Secret } from '../../core/secret.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { describeError } from '../describe-error.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import { counterOf, gaugeOf } from '../metric.ts';
import type { RevocationBoard } from './revocation-board.ts';
import { toRevocations } from '../translate/revocation.ts';

export interface RevocationsOptions {
  /** undefined: there is no Redis, and the snapshot is the only way */
  readonly board: RevocationBoard | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
  readonly recordOf: (keyId: string) => CredentialRecord | 'invalid' | undefined;
  readonly installationSecret: () => Secret | undefined;
  /** something stands of a key that did not stand before */
  readonly onChange: (keyId: string) => void;
  /** the board is there (again): what was missed while it was away has to be told */
  readonly onConnected: () => void;
}

/** Pub/sub is at most once: what it lost is found by reading. */
const readEveryMs = 5_000;
const retryMs = 500;
/** Of one hash tag. */
const mostAtOnce = 256;

/**
 * What stands on the board, and what this replica wants to stand there. Every replica does this, leader or not: it says what it sees at once, so that a leader that has just died is no
 * reason for a key to live on. Nothing here waits for the board, and nothing fails because of it.
 */
export class Revocations {
  readonly #options: RevocationsOptions;
  readonly #standing = new Map<string, Map<string, Revocation>>();
  /** by field: not on the board yet */
  readonly #unwritten = new Map<string, Revocation>();
  readonly #writes;
  readonly #timers = new Set<Timer>();
  #listedMs: number;
  #unreadTags = 0;
  /** by hash tag */
  readonly #writing = new Map<string, Promise<void>>();
  #stopped = false;
  /** of the leader: what the board has forgotten and still needs */
  keeps: (revocation: Revocation) => boolean = () => false;

  constructor(options: RevocationsOptions) {
    this.#options = options;
    const { board, clock, metrics } = options;
    this.#listedMs = clock.now();
    this.#writes = counterOf(metrics.registry, 'keywright_revocation_writes_total', 'Revocations told through Redis', ['outcome']);
    this.#measure();
    if (board === undefined) return;
    board.onTold((revocation) => this.#take(revocation));
    board.onConnected(() => void this.#connected());
    this.#readLater();
  }

  /** Whether there is a board at all. */
  get reaches(): boolean {
    return this.#options.board !== undefined;
  }

  /** What stands of a key, this replica's own words included. */
  standing(keyId: string): readonly Revocation[] {
    return [...(this.#standing.get(keyId)?.values() ?? [])];
  }

  *all(): Iterable<Revocation> {
    for (const entries of this.#standing.values()) yield* entries.values();
  }

  /** A watch has shown a VirtualKey, or its end. `mayLift`: this view is known to be no older than what stands. */
  see(virtualKey: VirtualKey, { isGone = false, mayLift = false } = {}): void {
    if (this.#options.board === undefined) return;
    const keyId = `${virtualKey.metadata.namespace ?? ''}/${virtualKey.metadata.name}`;
    const { recordOf, installationSecret } = this.#options;
    const input = { virtualKey, isGone, known: recordOf(keyId), standing: this.standing(keyId), mayLift };
    for (const revocation of toRevocations({ ...input, installationSecret: installationSecret() })) this.tell(revocation);
  }

  /** Puts it on the board as soon as the board is there. Never throws. */
  tell(revocation: Revocation): void {
    const known = this.#standing.get(revocation.keyId)?.get(revocation.uid);
    if (known === undefined || !isSameRevocation(known, mergeRevocations(known, revocation))) this.#put(revocation);
  }

  #put(revocation: Revocation): void {
    if (this.#options.board === undefined || this.#stopped) return;
    const field = toRevocationField(revocation);
    const waiting = this.#unwritten.get(field);
    this.#unwritten.set(field, waiting === undefined ? revocation : mergeRevocations(waiting, revocation));
    this.#take(revocation);
    this.#flush();
  }

  /** Takes away what the proxies no longer need. */
  async remove(revocation: Revocation): Promise<void> {
    const { board } = this.#options;
    if (board?.connected !== true) return;
    await board.remove(revocation);
    this.#forget(revocation);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
    await Promise.all(this.#writing.values());
  }

  async #connected(): Promise<void> {
    await this.#read();
    this.#options.onConnected();
    this.#flush();
  }

  #readLater(): void {
    this.#after(readEveryMs, () => void this.#read().finally(() => this.#readLater()));
  }

  async #read(): Promise<void> {
    const { board, clock } = this.#options;
    if (board?.connected !== true || this.#stopped) return;
    const before = [...this.all()];
    const { standing, unread, error } = await board.read();
    if (unread.size === 0) this.#listedMs = clock.now();
    this.#noteUnread(unread.size, error);
    const fields = new Set(standing.map((revocation) => toRevocationField(revocation)));
    for (const revocation of before)
      if (!fields.has(toRevocationField(revocation)) && !unread.has(tagOf(revocation.keyId))) this.#missing(revocation);
    for (const revocation of standing) this.#take(revocation);
  }

  /** A part that is away concerns its own keys alone; what was missed of them is read when it is back. */
  #noteUnread(tags: number, error: unknown): void {
    const before = this.#unreadTags;
    this.#unreadTags = tags;
    if (before > 0 === tags > 0) return;
    const { log } = this.#options;
    if (tags > 0)
      log.warn(
        { event: 'revocations_unread', tags, error: describeError(error) },
        'revocations of some keys cannot be read in Redis; those of the others are, and it is tried again',
      );
    else log.info({ event: 'revocations_read_again' }, 'the revocations of all keys are read in Redis again');
  }

  /** The board has forgotten it, or somebody has taken it away because it was superfluous. */
  #missing(revocation: Revocation): void {
    if (this.#unwritten.has(toRevocationField(revocation))) return;
    if (this.keeps(revocation)) this.#put(revocation);
    else this.#forget(revocation);
  }

  #take(revocation: Revocation): void {
    const { keyId, uid } = revocation;
    const entries = this.#standing.get(keyId) ?? new Map<string, Revocation>();
    const before = entries.get(uid);
    const after = before === undefined ? revocation : mergeRevocations(before, revocation);
    if (before !== undefined && isSameRevocation(before, after)) return;
    this.#standing.set(keyId, entries.set(uid, after));
    this.#options.onChange(keyId);
  }

  #forget({ keyId, uid }: Revocation): void {
    const entries = this.#standing.get(keyId);
    entries?.delete(uid);
    if (entries?.size === 0) this.#standing.delete(keyId);
  }

  /**
   * All at once: a namespace that goes takes many keys along, and each of them is to be refused now. Those of each hash tag by themselves, since the master of some may hang: nobody
   * else's revocation waits for it.
   */
  #flush(): void {
    const { board } = this.#options;
    if (board?.connected !== true || this.#stopped) return;
    for (const [tag, entries] of Map.groupBy(this.#unwritten, ([, { keyId }]) => tagOf(keyId))) {
      if (this.#writing.has(tag)) continue;
      const writing = Promise.all(entries.slice(0, mostAtOnce).map(([field, revocation]) => this.#writeOne(board, field, revocation)));
      const ended = writing.then((outcomes) => {
        this.#writing.delete(tag);
        if (outcomes.includes(false)) this.#after(retryMs, () => this.#flush());
        else this.#flush();
      });
      this.#writing.set(tag, ended);
    }
  }

  async #writeOne(board: RevocationBoard, field: string, revocation: Revocation): Promise<boolean> {
    try {
      await board.write(revocation);
    } catch (error) {
      this.#writes.inc({ outcome: 'failed' });
      this.#options.log.warn({ key: revocation.keyId, error: describeError(error) }, 'a revocation could not be told; it is tried again');
      return false;
    }
    this.#writes.inc({ outcome: 'written' });
    // it may have grown meanwhile
    if (this.#unwritten.get(field) === revocation) this.#unwritten.delete(field);
    return true;
  }

  #after(ms: number, run: () => void): void {
    if (this.#stopped) return;
    const timer = this.#options.clock.after(ms, () => {
      this.#timers.delete(timer);
      run();
    });
    this.#timers.add(timer);
  }

  #measure(): void {
    const { board, clock, metrics } = this.#options;
    const { registry } = metrics;
    const gauges: readonly (readonly [ReturnType<typeof gaugeOf>, () => number])[] = [
      [
        gaugeOf(registry, 'keywright_revocations_standing', 'Revocations in Redis that the snapshot may not say yet'),
        () => [...this.all()].length,
      ],
      [gaugeOf(registry, 'keywright_revocations_unwritten', 'Revocations that wait for Redis'), () => this.#unwritten.size],
      [
        gaugeOf(registry, 'keywright_revocations_listed_age_seconds', 'Time since all revocations in Redis were read'),
        () => Math.max(0, clock.now() - this.#listedMs) / 1000,
      ],
      [
        gaugeOf(
          registry,
          'keywright_revocations_unread_tags',
          'Parts of Redis (of 64) whose revocations could not be read at the last look',
        ),
        () => this.#unreadTags,
      ],
      [
        gaugeOf(registry, 'keywright_revocations_link_connected', '1 while revocations can be told through Redis'),
        () => (board?.connected === true ? 1 : 0),
      ],
    ];
    for (const [gauge, read] of gauges) Object.assign(gauge, { collect: () => gauge.set(read()) });
  }
}
