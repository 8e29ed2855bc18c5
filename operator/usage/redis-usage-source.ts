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
    async open() {
      const calls = hashTags.map((tag) => ({ script: placeScript, keyCount: 1, parameters: [usageStreamKey(tag), group] }));
      const places = (await link.run(calls)).map((place) => (isStreamId(place) ? place : firstStreamId));
      const recent = await link.send(
        hashTags.map((tag, index) => ['XREVRANGE', usageStreamKey(tag), places[index] ?? firstStreamId, '-', 'COUNT', String(mostRecent)]),
      );
      return hashTags.map((tag, index) => ({
        tag,
        acknowledged: places[index] ?? firstStreamId,
        entries: toEntries(recent[index]).toReversed(),
      }));
    },
    async read(positions) {
      const replies = await link.send(
        hashTags.map((tag) => {
          const position = positions.get(tag) ?? firstStreamId;
          return ['XRANGE', usageStreamKey(tag), `(${position}`, '+', 'COUNT', String(mostPerRead)];
        }),
      );
      return hashTags.map((tag, index) => ({ tag, entries: toEntries(replies[index]) })).filter(({ entries }) => entries.length > 0);
    },
    async acknowledge(positions) {
      const calls = [...positions].map(([tag, place]) => {
        const parameters = [usageStreamKey(tag), group, place, String(timeOfStreamId(place)), String(keptMs)];
        return { script: acknowledgeScript, keyCount: 1, parameters };
      });
      if (calls.length > 0) await link.run(calls);
    },
    async lastIds() {
      const replies = await link.send(hashTags.map((tag) => ['XREVRANGE', usageStreamKey(tag), '+', '-', 'COUNT', '1'] as const));
      const last = hashTags.map((tag, index) => [tag, toEntries(replies[index])[0]?.id] as const);
      return new Map(last.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
    },
  };
}

function toEntries(reply: unknown): UsageEntry[] {
  return (reply as readonly [id: string, fields: readonly string[]][]).map(([id, fields]) => {
    const at = fields.findIndex((name, position) => position % 2 === 0 && name === usageEventField);
    return { id, event: at < 0 ? undefined : parseUsageEvent(fields[at + 1] ?? '') };
  });
}
