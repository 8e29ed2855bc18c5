-- What counts in windows and how many requests are in flight, for whoever shows it. Behind window.lua; writes nothing, so it may be run as EVAL_RO.
-- KEYS: windows and slots, in any order. ARGV: time or ''; then two per key: width, k; both 0 for slots. Gives a number per key.
local now, reply = clock(), {}
for position = 1, #KEYS do
  local key, width, k = KEYS[position], tonumber(ARGV[position * 2]), tonumber(ARGV[position * 2 + 1])
  if width == 0 then
    reply[position] = call('ZCOUNT', key, '(' .. text_of(now), '+inf')
  else
    reply[position] = open(key, width, k, now, now).sum
  end
end
return reply
