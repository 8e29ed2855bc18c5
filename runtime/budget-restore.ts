import { makeRedisScript, type RedisScriptCall } from './redis-script.ts';

/**
 * Scripts on the budgets of one key that are not part of a request: they are read as text (what is stored are two doubles, little endian: spent and reserved), raised to what is
 * known of them, and reset. `KEYS[1]`: the key's hash; fields of windows are `D<id>`, `W<id>`, `M<id>`, `T0`.
 */

/** What is spent and reserved in one window, integer nano-dollars. */
export interface StoredWindow {
  readonly window: string;
  readonly spentNanoUsd: number;
  readonly reservedNanoUsd: number;
}

export interface StoredBudgets {
  /** in which they were restored, and for which the operator has said what it knows; '' = none */
  readonly epoch: string;
  readonly answeredEpoch: string;
  readonly windows: readonly StoredWindow[];
}

const readScript = makeRedisScript(`
local stored = redis.call('HGETALL', KEYS[1])
local reply = { '', '' }
for position = 1, #stored, 2 do
  local field, value = stored[position], stored[position + 1]
  if field == 'e' then reply[1] = value
  elseif field == 'ea' then reply[2] = value
  elseif string.match(field, '^[DWMT]%d+$') and #value == 16 then
    local spent, reserved = struct.unpack('<dd', value)
    reply[#reply + 1] = field
    reply[#reply + 1] = string.format('%.0f', spent)
    reply[#reply + 1] = string.format('%.0f', reserved)
  end
end
return reply
`);

/** ARGV: the epoch that is answered ('' = none), then window, spent … Never lowers anything, so that the order of those who push does not matter. */
const restoreScript = makeRedisScript(`
for position = 2, #ARGV, 2 do
  local field, known = ARGV[position], tonumber(ARGV[position + 1])
  local value = redis.call('HGET', KEYS[1], field)
  local spent, reserved = 0, 0
  if value and #value == 16 then spent, reserved = struct.unpack('<dd', value) end
  if known > spent then redis.call('HSET', KEYS[1], field, struct.pack('<dd', known, reserved)) end
end
if ARGV[1] ~= '' then redis.call('HSET', KEYS[1], 'ea', ARGV[1]) end
return 1
`);

/**
 * ARGV: which reset it is, then windows. The same reset again does nothing, so that whoever is interrupted may repeat it. What running requests hold stays held. Gives the
 * windows that were above 0, with what was spent in them.
 */
const resetScript = makeRedisScript(`
local done = {}
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HGET', KEYS[1], 'r') == ARGV[1] then return done end
for position = 2, #ARGV do
  local value = redis.call('HGET', KEYS[1], ARGV[position])
  if value and #value == 16 then
    local spent, reserved = struct.unpack('<dd', value)
    redis.call('HSET', KEYS[1], ARGV[position], struct.pack('<dd', 0, reserved))
    -- what somebody tells later of the time before is not added to it
    redis.call('HSET', KEYS[1], 'b' .. ARGV[position], '9007199254740991')
    done[#done + 1] = ARGV[position]
    done[#done + 1] = string.format('%.0f', spent)
  end
end
redis.call('HSET', KEYS[1], 'r', ARGV[1])
return done
`);

/** Asks what is stored of the budgets of a key. */
export function toReadBudgetsCall(key: string): RedisScriptCall {
  return { script: readScript, keyCount: 1, parameters: [key] };
}

/** Its answer, amounts in nano-dollars. */
export function toStoredBudgets(reply: unknown): StoredBudgets {
  const [epoch = '', answeredEpoch = '', ...rest] = reply as string[];
  const windows: StoredWindow[] = [];
  for (let position = 0; position + 2 < rest.length; position += 3) {
    const [window = '', spent, reserved] = rest.slice(position, position + 3);
    windows.push({ window, spentNanoUsd: Number(spent), reservedNanoUsd: Number(reserved) });
  }
  return { epoch, answeredEpoch, windows };
}

/** `spent`: window → integer nano-dollars. `answers`: whoever asked on behalf of this epoch is told that this is all; undefined: it is only one who pushes what it has seen. */
export function toRestoreCall(key: string, spent: ReadonlyMap<string, number>, answers?: string): RedisScriptCall {
  const pairs = [...spent].flatMap(([window, nanoUsd]) => [window, nanoUsd.toFixed(0)]);
  return { script: restoreScript, keyCount: 1, parameters: [key, answers ?? '', ...pairs] };
}

/** Sets what was spent in these windows back to nothing, once for each `reset`. */
export function toResetCall(key: string, reset: string, windows: readonly string[]): RedisScriptCall {
  return { script: resetScript, keyCount: 1, parameters: [key, reset, ...windows] };
}

/** Window → what was spent in it before, integer nano-dollars. */
export function toResetWindows(reply: unknown): ReadonlyMap<string, number> {
  const flat = reply as string[];
  return new Map(
    Array.from({ length: flat.length / 2 }, (_, index): [string, number] => [flat[index * 2] ?? '', Number(flat[index * 2 + 1])]),
  );
}
