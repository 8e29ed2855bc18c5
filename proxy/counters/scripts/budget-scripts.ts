import { budgetLetter } from '../../../core/budget.ts';
import { budgetsKey, restoreChannel, toRestoreQuestion } from '../../../core/budget-restore.ts';
import { tagOf } from '../../../core/hash-tag.ts';
import { usageStreamOf } from '../../../core/usage-stream.ts';
import { makeRedisScript, type RedisScriptCall } from '../../../runtime/redis-script.ts';
import type { BudgetFigures } from '../budget-store.ts';
import type { MoneyReservation } from '../counters.ts';
import { loadScript, toInteger } from './lua-text.ts';

const sweepScript = loadScript('budget', 'sweep');

/** The epoch of an admission that counts whatever life the store is in: nobody decides by it. */
export const anyEpoch = '*';

/** Where the money of a key stands: its budgets, what requests hold and until when, what is due of all keys of the tag, and the usage Stream. All under the key's tag. */
export function moneyKeys(keyId: string): readonly [hash: string, held: string, until: string, due: string, usage: string] {
  const stem = `kw:{${tagOf(keyId)}}`;
  return [budgetsKey(keyId), `${stem}:held:${keyId}`, `${stem}:held-until:${keyId}`, dueKey(tagOf(keyId)), usageStreamOf(keyId)];
}

/** What admit.lua is told of an admission's budgets; `positionOf` gives a key's place among those that are declared. */
export function toMoneyArguments(
  keyId: string,
  money: MoneyReservation | undefined,
  { epoch, positionOf }: { epoch: string; positionOf: (key: string) => number },
): string[] {
  if (money === undefined || money.budgets.length === 0) return ['0'];
  const { budgets, boundNanoUsd, floorNanoUsd } = money;
  return [
    String(budgets.length),
    ...moneyKeys(keyId).map((key) => String(positionOf(key))),
    keyId,
    toEpochText(epoch),
    toInteger(boundNanoUsd),
    toInteger(floorNanoUsd),
    ...budgets.flatMap(({ period, limitNanoUsd, shadow }) => [budgetLetter(period), toInteger(limitNanoUsd), shadow ? '1' : '']),
  ];
}

/** Reads window, spent and reserved of each budget. */
export function toFigures(list: readonly number[]): BudgetFigures[] {
  return Array.from({ length: Math.floor(list.length / 3) }, (_, position) => {
    const [windowId = 0, spentNanoUsd = 0, reservedNanoUsd = 0] = list.slice(position * 3, position * 3 + 3);
    return { windowId, spentNanoUsd, reservedNanoUsd };
  });
}

/** One that may not ask Redis for its replication id still notices that everything is gone. */
export function toEpochText(epoch: string): string {
  return epoch === '' ? '-' : epoch;
}

const dueScript = makeRedisScript(`
local now = ARGV[1]
if now == '' then
  local time = redis.call('TIME')
  now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
`);

/** Keys of a tag with a reservation whose deadline has passed, or a tombstone that is over; `clock` as in the other scripts. */
export function toDueCall(tag: string, most: number, clock: string): RedisScriptCall {
  return { script: dueScript, keyCount: 1, parameters: [dueKey(tag), clock, String(most)] };
}

export function toSweepCall(keyId: string, clock: string): RedisScriptCall {
  return { script: sweepScript, keyCount: 5, parameters: [...moneyKeys(keyId), clock, keyId] };
}

const stateScript = makeRedisScript(`
local stands = redis.call('HMGET', KEYS[1], 'e', 'ea')
if stands[1] == ARGV[1] then return 2 end
if ARGV[2] then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
return stands[2] == ARGV[1] and 1 or 0
`);

/** How far the restoring of a key's spend is: 0 nobody has answered, 1 the operator has, 2 it is open. With `asks` everybody who may know of spend is asked. */
export function toRestoreStateCall(keyId: string, epoch: string, asks: boolean): RedisScriptCall {
  const text = toEpochText(epoch);
  const question = asks ? [restoreChannel, toRestoreQuestion({ keyId, epoch: text })] : [];
  return { script: stateScript, keyCount: 1, parameters: [budgetsKey(keyId), text, ...question] };
}

/** What is restored is a maximum, what was spent since is a sum: bases keep them apart, for who tells later (formerScript). */
const openScript = makeRedisScript(`
local all = redis.call('HGETALL', KEYS[1])
for position = 1, #all, 2 do
  if string.match(all[position], '^b[DWMT]%d+$') then redis.call('HDEL', KEYS[1], all[position]) end
end
for position = 1, #all, 2 do
  local field, value = all[position], all[position + 1]
  if string.match(field, '^[DWMT]%d+$') and #value == 16 then
    redis.call('HSET', KEYS[1], 'b' .. field, string.format('%.0f', (struct.unpack('<dd', value))))
  end
end
for position = 1, #all, 2 do
  local field = string.match(all[position], '^p([DWMT]%d+)$')
  if field then
    local packed, spent, reserved = redis.call('HGET', KEYS[1], field), 0, 0
    if packed then spent, reserved = struct.unpack('<dd', packed) end
    redis.call('HSET', KEYS[1], field, struct.pack('<dd', math.max(0, spent + tonumber(all[position + 1])), reserved))
    redis.call('HDEL', KEYS[1], all[position])
  end
end
redis.call('HSET', KEYS[1], 'e', ARGV[1], 'eb', ARGV[1])
redis.call('HDEL', KEYS[1], 'ea')
redis.call('PEXPIRE', KEYS[1], '34560000000')
return 1
`);

/** Nothing is restored by who tells it before the opening, and what it knows more than that is added after: the same again adds nothing. A hash that was opened by a proxy which keeps no bases is raised. */
const formerScript = makeRedisScript(`
local stands = redis.call('HMGET', KEYS[1], 'e', 'eb')
local open = stands[1] == ARGV[1] and stands[2] == ARGV[1]
for position = 2, #ARGV, 2 do
  local field, known = ARGV[position], tonumber(ARGV[position + 1])
  local value = redis.call('HGET', KEYS[1], field)
  local spent, reserved = 0, 0
  if value and #value == 16 then spent, reserved = struct.unpack('<dd', value) end
  local base = open and tonumber(redis.call('HGET', KEYS[1], 'b' .. field) or '0') or spent
  if known > base then
    redis.call('HSET', KEYS[1], field, struct.pack('<dd', spent + known - base, reserved))
    if open then redis.call('HSET', KEYS[1], 'b' .. field, ARGV[position + 1]) end
  end
end
return 1
`);

/** What a process has seen of the spend of a key in lives of the store before this one, whether others have opened it meanwhile or not. `spent`: window → integer nano-dollars. */
export function toFormerSpendCall(keyId: string, epoch: string, spent: ReadonlyMap<string, number>): RedisScriptCall {
  const pairs = [...spent].flatMap(([window, nanoUsd]) => [window, toInteger(nanoUsd)]);
  return { script: formerScript, keyCount: 1, parameters: [budgetsKey(keyId), toEpochText(epoch), ...pairs] };
}

/** From now on admissions are decided by the spend that stands there, and what was spent meanwhile. */
export function toOpenBudgetsCall(keyId: string, epoch: string): RedisScriptCall {
  return { script: openScript, keyCount: 1, parameters: [budgetsKey(keyId), toEpochText(epoch)] };
}

function dueKey(tag: string): string {
  return `kw:{${tag}}:due`;
}
