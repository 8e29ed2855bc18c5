-- Reservations of one key whose deadline has passed become spend, though nobody asks about the key any more. Behind window.lua and budget.lua.
-- KEYS: budgets, held, until, due, usage. ARGV: time or '', key id. Gives how many were over; then the key's place in the list of what is due is right again.
local now = clock()
local keys = { hash = KEYS[1], held = KEYS[2], till = KEYS[3], due = KEYS[4], usage = KEYS[5] }
local money = open_budgets(keys, ARGV[2], now, {})
local over = sweep_held(money)
close_budgets(money)
local earliest = call('ZRANGE', keys.till, 0, 0, 'WITHSCORES')
if earliest[2] then
  call('ZADD', keys.due, earliest[2], ARGV[2])
  call('HSET', keys.hash, 'd', earliest[2])
  for position = 1, 4 do call('PEXPIRE', KEYS[position], budgets_kept) end
else
  call('ZREM', keys.due, ARGV[2])
  call('HDEL', keys.hash, 'd')
end
return over
