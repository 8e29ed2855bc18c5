import { hashTags } from '../../core/hash-tag.ts';
import { firstStreamId, isStreamId, parseUsageEvent, timeOfStreamId, usageEventField, usageStreamKey } from '../../core/usage-stream.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import { makeRedisScript } from '../../runtime/redis-script.ts';
import type { UsageEntry, UsageSource } from './usage-source.ts';

/** The consumer group whose place in a Stream is how far the checkpoints go. */
const group = 'keywright-operator';
/** Entries a tag and read; more are read at once. */
const mostPerRead = 500;
/** What is acknowledged stays so long, so that a new leader knows a repetition when it sees one. */
const keptMs = 600_000;
const mostRecent = 256;

/** Where the group is: up to there everything stands in checkpoints. No Stream or no group: nowhere. */
const placeScript = makeRedisScript(`
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then return '' end
for _, entry in ipairs(groups) do
  local name, place
  for position = 1, #entry, 2 do
    if entry[position] == 'name' then name = entry[position + 1] end
    if entry[position] == 'last-delivered-id' then place = entry[position + 1] end
  end
  if name == ARGV[1] then return place end
end
return ''
`);

/** ARGV: group, place, its milliseconds, for how many more entries are kept. A Stream that is not there any more is not made anew. */
const acknowledgeScript = makeRedisScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[2])
redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[2])
local from = math.min(tonumber(ARGV[3]), redis.call('TIME')[1] * 1000 - tonumber(ARGV[4]))
return redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', math.max(0, from)))
`);

/**
 * The usage Streams of all tags. Entries are read past the group (XRANGE), and the group only holds how far the checkpoints go: to read through it would hand each entry to
 * one reader, so that a leader which was stopped and goes on takes entries from its successor, which then meets them out of order.
 */
export function makeRedisUsageSource(link: RedisLink): UsageSource {
  let connections = 0;
  let unread = 0;
  link.onConnected(() => {
    connections += 1;
  });
  return {
    get connections() {
      return connections;
    },
    get connected() {
      return link.connected;
    },
    get unread() {
      return unread;
    },
    async open(known) {
      const asked = hashTags.filter((tag) => !known.has(tag));
      const calls = asked.map((tag) => ({ script: placeScript, keyCount: 1, parameters: [usageStreamKey(tag), group] }));
      const placed = toAnswered(asked, await link.tryRun(calls)).map(
        ([tag, place]) => [tag, isStreamId(place) ? place : firstStreamId] as const,
      );
      const recent = await link.trySend(
        placed.map(([tag, place]) => ['XREVRANGE', usageStreamKey(tag), place, '-', 'COUNT', String(mostRecent)]),
      );
      const places = toAnswered(placed, recent).map(([[tag, acknowledged], reply]) => ({
        tag,
        acknowledged,
        entries: toEntries(reply).toReversed(),
      }));
      return { places, isWhole: places.length === asked.length };
    },
    async read(positions) {
      const asked = [...positions];
      const replies = await link.trySend(
        asked.map(([tag, position]) => ['XRANGE', usageStreamKey(tag), `(${position}`, '+', 'COUNT', String(mostPerRead)]),
      );
      const answered = toAnswered(asked, replies);
      unread = hashTags.length - answered.length;
      return answered.map(([[tag], reply]) => ({ tag, entries: toEntries(reply) })).filter(({ entries }) => entries.length > 0);
    },
    async acknowledge(positions) {
      const asked = [...positions];
      const calls = asked.map(([tag, place]) => {
        const parameters = [usageStreamKey(tag), group, place, String(timeOfStreamId(place)), String(keptMs)];
        return { script: acknowledgeScript, keyCount: 1, parameters };
      });
      return new Map(toAnswered(asked, await link.tryRun(calls)).map(([place]) => place));
    },
    async lastIds() {
      const replies = await link.trySend(hashTags.map((tag) => ['XREVRANGE', usageStreamKey(tag), '+', '-', 'COUNT', '1'] as const));
      const answered = toAnswered(hashTags, replies);
      const ids = answered.flatMap(([tag, reply]): [string, string][] => toEntries(reply).map(({ id }) => [tag, id]));
      return { ids: new Map(ids), isWhole: answered.length === hashTags.length };
    },
  };
}

/** Each question with its answer, without those that have none: of a cluster a part may be away, which concerns the keys there alone. Throws what Redis says against all that it was asked. */
function toAnswered<Q>(questions: readonly Q[], results: readonly PromiseSettledResult<unknown>[]): (readonly [Q, unknown])[] {
  const answered: (readonly [Q, unknown])[] = [];
  let refused: Error | undefined;
  for (const [position, question] of questions.entries()) {
    const result = results[position];
    if (result?.status === 'fulfilled') answered.push([question, result.value]);
    else if (result?.reason instanceof Error && result.reason.name !== 'RedisAway') refused = result.reason;
  }
  if (answered.length === 0 && refused !== undefined) throw refused;
  return answered;
}

function toEntries(reply: unknown): UsageEntry[] {
  return (reply as readonly [id: string, fields: readonly string[]][]).map(([id, fields]) => {
    const at = fields.findIndex((name, position) => position % 2 === 0 && name === usageEventField);
    return { id, event: at < 0 ? undefined : parseUsageEvent(fields[at + 1] ?? '') };
  });
}
