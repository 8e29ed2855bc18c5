-- After an outage a proxy tells what it charged to the windows of one key: what it decided itself, which Redis knows nothing of, and what Redis had decided, in case Redis lost it.
-- KEYS: marker of this push, what stood in the buckets when this life of Redis began, then one hash per window.
-- ARGV: time or '', how long the first two are kept in ms; then per window: name, width, k, how many buckets, and per bucket: index, latest charge, decided here, decided by Redis.
-- The marker makes it happen once. Gives how much was charged, or -1 when it had happened before.
local now, keep = clock(), ARGV[2]
if not call('SET', KEYS[1], '1', 'PX', keep, 'NX') then return -1 end

-- What Redis had decided is added as far as it is missing: all proxies together charged a bucket at least what they push, and Redis has at least what it had when the first of them
-- came. So a Redis that kept everything is charged nothing, one that kept nothing gets all of it, and one that lost its last second (a failover) that second.
local function missing_of(field, stood, amount)
  if amount == 0 then return 0 end
  local had, pushed = stood, 0
  local known = call('HGET', KEYS[2], field)
  if known then had, pushed = unpack_numbers('<dd', known) end
  call('HSET', KEYS[2], field, pack_numbers('<dd', had, pushed + amount))
  return max(had, pushed + amount) - max(had, pushed)
end

local function bucket_of(window, index)
  if index == window.target then
    window.dirty = true
    return window
  end
  if index >= window.low then return other_bucket(window, index) end
  -- it has been forgotten, or the window began later
  window.low = index
  window.others = window.others or {}
  window.others[index] = window.others[index] or { count = 0, last = 0 }
  return window.others[index]
end

local function push(window, name, cursor)
  -- a clock that was set back: what is in the future would count for too long
  local index = min(tonumber(ARGV[cursor]), window.index)
  local latest = min(tonumber(ARGV[cursor + 1]), window.at)
  local span = window.k * window.width
  if latest + span < window.at or index < window.index - window.k then return end
  local bucket = bucket_of(window, index)
  local missing = missing_of(name .. ' ' .. text_of(index), bucket.count, tonumber(ARGV[cursor + 3]))
  local amount = tonumber(ARGV[cursor + 2]) + missing
  if amount == 0 then return end
  bucket.count = bucket.count + amount
  bucket.last = max(bucket.last, latest - index * window.width)
  window.sum = window.sum + amount
end

local cursor, charged = 3, 0
for position = 3, #KEYS do
  local name, buckets = ARGV[cursor], tonumber(ARGV[cursor + 3])
  local window = open(KEYS[position], tonumber(ARGV[cursor + 1]), tonumber(ARGV[cursor + 2]), now, now)
  cursor = cursor + 4
  local before = window.sum
  for _ = 1, buckets do
    push(window, name, cursor)
    cursor = cursor + 4
  end
  charged = charged + window.sum - before
  if window.sum > before then commit(window, now) end
end
if call('EXISTS', KEYS[2]) == 1 then call('PEXPIRE', KEYS[2], keep) end
return charged
