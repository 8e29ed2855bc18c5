import type { Gauge, Registry } from 'prom-client';
import type { Secret } from '../../core/secret.ts';
import { groupByTag, lastUsedKey, toLastUsedField, type UsedCredential } from '../../core/last-used.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import { describeError } from '../describe-error.ts';
import { countAtScrape, gaugeOf } from '../metric.ts';
import type { CredentialRecord } from './hashed-secret.ts';
import { toCredentialId } from '../translate/key-record.ts';

/** Where the proxies note when retiring credentials were used. Of a Redis Cluster a part may be away, which concerns the credentials there alone. */
export interface LastUsedSource {
  /** in the order of the question; `unread`: how many could not be looked at, and why the first of them could not */
  read(credentials: readonly UsedCredential[]): Promise<LastUses>;
  /** their overlap is over; gives those that were forgotten */
  forget(credentials: readonly UsedCredential[]): Promise<readonly UsedCredential[]>;
}

export interface LastUses {
  /** milliseconds since 1970; undefined: not known to have been used */
  readonly times: readonly (number | undefined)[];
  readonly unread: number;
  readonly error?: unknown;
}

export function makeRedisLastUsed(link: RedisLink): LastUsedSource {
  return {
    async read(credentials) {
      if (!link.connected || credentials.length === 0) return { times: credentials.map(() => undefined), unread: 0 };
      const groups = groupByTag(credentials);
      const replies = await link.trySend(groups.map(([tag, items]) => ['HMGET', lastUsedKey(tag), ...items.map(toLastUsedField)] as const));
      const found = new Map<string, number>();
      let unread = 0;
      for (const [position, [, items]] of groups.entries()) {
        const reply = replies[position];
        if (reply?.status !== 'fulfilled') {
          unread += items.length;
          continue;
        }
        const times = reply.value as readonly (string | null)[];
        for (const [index, item] of items.entries()) if (times[index] !== null) found.set(toLastUsedField(item), Number(times[index]));
      }
      const failed = replies.find((reply) => reply.status === 'rejected');
      return { times: credentials.map((each) => found.get(toLastUsedField(each))), unread, ...(failed && { error: failed.reason }) };
    },
    async forget(credentials) {
      if (!link.connected || credentials.length === 0) return [];
      const groups = groupByTag(credentials);
      const replies = await link.trySend(groups.map(([tag, items]) => ['HDEL', lastUsedKey(tag), ...items.map(toLastUsedField)] as const));
      return groups.flatMap(([, items], position) => (replies[position]?.status === 'fulfilled' ? items : []));
    },
  };
}

export interface LastUsedMirrorOptions {
  readonly source: LastUsedSource | undefined;
  /** of the keys that are not gone */
  readonly records: () => Iterable<CredentialRecord>;
  readonly installationSecret: Secret;
  /** a status is to be written anew */
  readonly onChange: (keyId: string, delayMs: number) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
}

const readEveryMs = 15_000;
/** A status says the minute; more would be a write for every use. */
const stepMs = 60_000;
/** Twenty status writes a second for the whole installation. */
const betweenWritesMs = 50;
const mostPerRound = readEveryMs / betweenWritesMs;

/** What the statuses say of the last use of retiring credentials; for the leader. At rest nothing changes, so nothing is written. */
export class LastUsedMirror {
  readonly #options: LastUsedMirrorOptions;
  /** key id → credential id → milliseconds since 1970 */
  readonly #shown = new Map<string, Map<string, number>>();
  readonly #gauge: Gauge;
  #unread = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: LastUsedMirrorOptions) {
    this.#options = options;
    this.#gauge = gaugeOf(
      options.metrics.registry,
      'keywright_last_used_unread',
      'Retiring credentials whose last use could not be read in Redis at the last look',
    );
    countAtScrape(this.#gauge, (gauge) => gauge.set(this.#unread));
    if (options.source !== undefined) this.#later(options.source);
  }

  /** By credential id, what the status of the key is to say at least. */
  of(keyId: string): ReadonlyMap<string, number> | undefined {
    return this.#shown.get(keyId);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    countAtScrape(this.#gauge, () => {});
    this.#gauge.reset();
  }

  #later(source: LastUsedSource): void {
    this.#timer = this.#options.clock.after(readEveryMs, () => {
      void this.#look(source).finally(() => {
        if (!this.#stopped) this.#later(source);
      });
    });
  }

  async #look(source: LastUsedSource): Promise<void> {
    const { log } = this.#options;
    const credentials = [...this.#retiring()];
    try {
      const { times, unread, error } = await source.read(credentials);
      this.#noteUnread(unread, error);
      const changed = new Set<string>();
      for (const [index, credential] of credentials.entries()) this.#show(credential, times[index], changed);
      await this.#forgetEnded(source, new Set(credentials.map(toLastUsedField)));
      for (const [index, keyId] of [...changed].entries()) this.#options.onChange(keyId, index * betweenWritesMs);
    } catch (error) {
      log.warn({ error: describeError(error) }, 'when retiring credentials were used could not be read; it is tried again');
    }
  }

  #noteUnread(credentials: number, error: unknown): void {
    const before = this.#unread;
    this.#unread = credentials;
    if (before > 0 === credentials > 0) return;
    const { log } = this.#options;
    if (credentials > 0)
      log.warn(
        { event: 'last_used_unread', credentials, error: describeError(error) },
        'when some retiring credentials were used cannot be read in Redis; it is tried again',
      );
    else log.info({ event: 'last_used_read_again' }, 'when retiring credentials were used is read of all again');
  }

  *#retiring(): Iterable<UsedCredential> {
    const { records, installationSecret } = this.#options;
    for (const { keyId, credentials } of records()) {
      for (const { state, hash } of credentials)
        if (state === 'Retiring') yield { keyId, credentialId: toCredentialId(hash, { installationSecret }) };
    }
  }

  /** More than fit in a round wait for the next one. */
  #show({ keyId, credentialId }: UsedCredential, atMs: number | undefined, changed: Set<string>): void {
    const minuteMs = Math.floor((atMs ?? 0) / stepMs) * stepMs;
    const shown = this.#shown.get(keyId) ?? new Map<string, number>();
    if (minuteMs <= (shown.get(credentialId) ?? 0) || (changed.size >= mostPerRound && !changed.has(keyId))) return;
    this.#shown.set(keyId, shown.set(credentialId, minuteMs));
    changed.add(keyId);
  }

  async #forgetEnded(source: LastUsedSource, retiring: ReadonlySet<string>): Promise<void> {
    const shown = [...this.#shown].flatMap(([keyId, times]) => [...times.keys()].map((credentialId) => ({ keyId, credentialId })));
    const ended = shown.filter((credential) => !retiring.has(toLastUsedField(credential)));
    for (const { keyId, credentialId } of await source.forget(ended)) {
      const times = this.#shown.get(keyId);
      times?.delete(credentialId);
      if (times?.size === 0) this.#shown.delete(keyId);
    }
  }
}
