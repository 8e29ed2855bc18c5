import { createHash } from 'node:crypto';
import { tagOf } from '../../core/hash-tag.ts';
import type { RedisCommand } from '../../runtime/redis-command.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import { awaitReply } from '../counters/store/await-reply.ts';
import { keptForMs, type ObjectOwner, type ObjectPlace, type StoredObjects } from './stored-objects.ts';

export interface SharedStoredObjectsOptions {
  readonly link: Pick<RedisLink, 'connected' | 'trySend'>;
  /** longest wait for Redis, our own stalls not counted: an answer that was paid for is worth more patience than an admission */
  readonly deadlineMs?: number;
}

const defaultDeadlineMs = 2000;

/**
 * In Redis, so that every proxy knows them: one string each, whose name is a hash of owner and id, so that one owner's id is no name for another. All of a namespace have one hash tag, as its
 * limits have.
 */
export function makeSharedStoredObjects({ link, deadlineMs = defaultDeadlineMs }: SharedStoredObjectsOptions): StoredObjects {
  /** Undefined: not all of them were done, or nobody knows. */
  async function send(commands: readonly RedisCommand[]): Promise<readonly unknown[] | undefined> {
    const reply = await awaitReply(link.trySend(commands), { deadlineMs, monotonicNow: () => performance.now() });
    if (reply.outcome !== 'reply') return undefined;
    const values = reply.value.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    return values.length === commands.length ? values : undefined;
  }

  return {
    get ready() {
      return link.connected;
    },
    async note(owner, ids, place) {
      const value = JSON.stringify([place.channelId, place.credential, ...(place.tokens === undefined ? [] : [place.tokens])]);
      return (await send(ids.map((id) => ['SET', nameOf(owner, id), value, 'PX', String(keptForMs)]))) !== undefined;
    },
    async find(owner, ids) {
      const [values] = (await send([['MGET', ...ids.map((id) => nameOf(owner, id))]])) ?? [];
      return Array.isArray(values) ? { outcome: 'known', places: values.map(parsePlace) } : { outcome: 'unavailable' };
    },
    async forget(owner, ids) {
      return (await send([['DEL', ...ids.map((id) => nameOf(owner, id))]])) !== undefined;
    },
  };
}

/** 128 bits of a hash: short, because there is one for each answer of 30 days, and it does not tell the id. */
function nameOf({ keyId, uid }: ObjectOwner, id: string): string {
  const hash = createHash('sha256').update(`${uid}\n${id}`).digest('base64url').slice(0, 22);
  return `kw:{${tagOf(keyId)}}:o:${hash}`;
}

function parsePlace(value: unknown): ObjectPlace | undefined {
  if (typeof value !== 'string') return undefined;
  const [channelId, credential, tokens] = JSON.parse(value) as [string, string, number?];
  return { channelId, credential, ...(tokens === undefined ? {} : { tokens }) };
}
