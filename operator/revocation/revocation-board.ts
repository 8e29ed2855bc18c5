import { hashTags, tagOf } from '../../core/hash-tag.ts';
import {
  isSameRevocation,
  mergeRevocations,
  parseRevocation,
  parseRevocationMessage,
  parseRevocations,
  type Revocation,
  revocationChannel,
  revocationsKey,
  toRevocationField,
  toRevocationValue,
} from '../../core/revocation.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import { makeRedisScript } from '../../runtime/redis-script.ts';

/** Of a Redis Cluster a part may be away. */
export interface ReadRevocations {
  readonly standing: readonly Revocation[];
  /** hash tags of which nothing is known: what was known of their keys still counts */
  readonly unread: ReadonlySet<string>;
  /** why the first of them could not be read */
  readonly error?: unknown;
}

/** Where revocations stand for every process to see, beside the snapshot. It may be away, and it may forget. */
export interface RevocationBoard {
  readonly connected: boolean;
  /** everything that stands, as far as it can be read; never rejects */
  read(): Promise<ReadRevocations>;
  /** puts it there together with what stands of the same object, and tells everybody; gives what stands then */
  write(revocation: Revocation): Promise<Revocation>;
  /** takes it away if it stands just so; tells nobody, since it must have become superfluous */
  remove(revocation: Revocation): Promise<boolean>;
  onTold(listener: (revocation: Revocation) => void): void;
  /** each time that it is connected, when nothing is missed any more */
  onConnected(listener: () => void): void;
}

/**
 * Compare and set. The rules of merging are core's alone, so Redis need not know them, and writers may be of different versions.
 * KEYS: the hash. ARGV: field, what must stand there ('' = nothing), what is to stand there ('' = nothing), channel. Gives {1} or {0, what stands there}.
 */
const swapScript = makeRedisScript(`
local stands = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stands ~= ARGV[2] then return { 0, stands } end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('PUBLISH', ARGV[4], ARGV[1] .. ' ' .. ARGV[3])
end
return { 1 }
`);
/** Writers that see each other agree at the second try; more are a sign that somebody writes without end. */
const mostTries = 8;

/** `listens`: whether others' revocations are told; one that only writes needs no right to it. */
export function makeRedisBoard(link: RedisLink, { listens = true } = {}): RevocationBoard {
  const listeners: ((revocation: Revocation) => void)[] = [];
  const subscribe = listens ? link.subscribe : () => {};
  subscribe(revocationChannel, (message) => {
    const revocation = parseRevocationMessage(message);
    if (revocation !== undefined) for (const listener of listeners) listener(revocation);
  });

  /** Gives what stands there instead; undefined: it is done. */
  async function swap({ keyId, uid }: Revocation, expected: string, next: string): Promise<string | undefined> {
    const parameters = [revocationsKey(tagOf(keyId)), toRevocationField({ keyId, uid }), expected, next, revocationChannel];
    const [reply] = await link.run([{ script: swapScript, keyCount: 1, parameters }]);
    const [done, stands] = reply as [number, string?];
    return done === 1 ? undefined : (stands ?? '');
  }

  return {
    get connected() {
      return link.connected;
    },
    read: () => readRevocations(link),
    async write(revocation) {
      let expected = '';
      let next = revocation;
      for (let attempt = 0; attempt < mostTries; attempt += 1) {
        const stands = await swap(revocation, expected, toRevocationValue(next));
        if (stands === undefined) return next;
        const known = parseRevocation(toRevocationField(revocation), stands);
        expected = stands;
        // what cannot be read is nothing that one of us wrote
        next = known === undefined ? revocation : mergeRevocations(known, revocation);
        if (known !== undefined && isSameRevocation(known, next)) return known;
      }
      throw new Error(`the revocation of ${revocation.keyId} is changed by somebody else again and again`);
    },
    async remove(revocation) {
      return (await swap(revocation, toRevocationValue(revocation), '')) === undefined;
    },
    onTold: (listener) => void listeners.push(listener),
    onConnected: (listener) => link.onConnected(listener),
  };
}

async function readRevocations(link: RedisLink): Promise<ReadRevocations> {
  const replies = await link.trySend(hashTags.map((tag) => ['HGETALL', revocationsKey(tag)] as const));
  const failed = replies.find((reply) => reply.status === 'rejected');
  return {
    standing: replies.flatMap((reply) => (reply.status === 'fulfilled' ? parseRevocations(reply.value as unknown[]) : [])),
    unread: new Set(hashTags.filter((_, position) => replies[position]?.status !== 'fulfilled')),
    ...(failed && { error: failed.reason }),
  };
}
