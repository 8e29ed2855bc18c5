-- What a key has used by now, for whoever asks; changes nothing. Behind window.lua.
-- KEYS: slots of the key, one hash per window, the life of the tag (store-lives.ts). ARGV: time or ''; then two per window: width, k; at last the life that the proxy knows; '' = it is not
-- looked at.
-- Gives time, requests in flight, then two per window: sum, ms until it would be empty if nothing else came; or the time alone: the store is in another life, and has to be told of the one before.
local now = clock()
local known_life = ARGV[#ARGV]
if known_life ~= '' and call('GET', KEYS[#KEYS]) ~= known_life then return { now } end

-- the latest charge leaves last; what is reserved leaves a span after its deadline
local function until_empty(window)
  if window.sum == 0 then return 0 end
  local span, latest = window.k * window.width, 0
  if window.reset then return span + 1 end
  local all = call('HGETALL', window.key)
  for position = 1, #all, 2 do
    local index = tonumber(all[position])
    if index and index >= window.low then
      local count, last = read_bucket(all[position + 1])
      if count > 0 then latest = max(latest, index * window.width + last) end
    end
  end
  return max(0, latest + span + 1 - now)
end

local reply = { now, call('ZCOUNT', KEYS[1], '(' .. text_of(now), '+inf') }
for position = 2, #KEYS - 1 do
  local window = open(KEYS[position], tonumber(ARGV[position * 2 - 2]), tonumber(ARGV[position * 2 - 1]), now, now)
  reply[#reply + 1] = window.sum
  reply[#reply + 1] = until_empty(window)
end
return reply
