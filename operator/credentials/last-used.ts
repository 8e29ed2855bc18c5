import type { Secret } from '../../core/secret.ts';
import { groupByTag, lastUsedKey, toLastUsedField, type UsedCredential } from '../../core/last-used.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import { describeError } from '../describe-error.ts';
import type { CredentialRecord } from './hashed-secret.ts';
import { toCredentialId } from '../translate/key-record.ts';

/** Where the proxies note when retiring credentials were used. */
export interface LastUsedSource {
  /** milliseconds since 1970, in the order of the question; undefined: not known to have been used */
  read(credentials: readonly UsedCredential[]): Promise<(number | undefined)[]>;
  /** their overlap is over */
  forget(credentials: readonly UsedCredential[]): Promise<void>;
}

export function makeRedisLastUsed(link: RedisLink): LastUsedSource {
  return {
    async read(credentials) {
      if (!link.connected || credentials.length === 0) return credentials.map(() => undefined);
      const groups = groupByTag(credentials);
      const replies = await link.send(groups.map(([tag, items]) => ['HMGET', lastUsedKey(tag), ...items.map(toLastUsedField)] as const));
      const found = new Map<string, number>();
      for (const [position, [, items]] of groups.entries()) {
        const times = replies[position] as readonly (string | null)[];
        for (const [index, item] of items.entries()) if (times[index] !== null) found.set(toLastUsedField(item), Number(times[index]));
      }
      return credentials.map((credential) => found.get(toLastUsedField(credential)));
    },
    async forget(credentials) {
      if (!link.connected || credentials.length === 0) return;
      await link.send(groupByTag(credentials).map(([tag, items]) => ['HDEL', lastUsedKey(tag), ...items.map(toLastUsedField)] as const));
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
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: LastUsedMirrorOptions) {
    this.#options = options;
    if (options.source !== undefined) this.#later(options.source);
  }

  /** By credential id, what the status of the key is to say at least. */
  of(keyId: string): ReadonlyMap<string, number> | undefined {
    return this.#shown.get(keyId);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
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
      const times = await source.read(credentials);
      const changed = new Set<string>();
      for (const [index, credential] of credentials.entries()) this.#show(credential, times[index], changed);
      await this.#forgetEnded(source, new Set(credentials.map(toLastUsedField)));
      for (const [index, keyId] of [...changed].entries()) this.#options.onChange(keyId, index * betweenWritesMs);
    } catch (error) {
      log.warn({ error: describeError(error) }, 'when retiring credentials were used could not be read; it is tried again');
    }
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
    await source.forget(ended);
    for (const { keyId, credentialId } of ended) {
      const times = this.#shown.get(keyId);
      times?.delete(credentialId);
      if (times?.size === 0) this.#shown.delete(keyId);
    }
  }
}
