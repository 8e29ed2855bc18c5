-- A sliding window in one hash; the same algorithm as core/limit.ts, which explains it. Put in front of every script that works on windows.
-- Field h: index, low, sum, anchor, when the key expires; every other field is a bucket: its index -> count, when in the bucket the latest charge was. Packed as doubles, exact
-- below 2^53: nearly all of an admission's time is Lua's own, and packing costs a third of formatting and parsing. For the same reason a window is one flat table.
-- Where a number becomes text, it does by %.0f only: tostring and .. write 1e14 and up in exponent form, and the next reader would find no number.
local call = redis.call
local KEYS, ARGV = KEYS, ARGV
local floor, max, min = math.floor, math.max, math.min
local format, match, pack_numbers, unpack_numbers = string.format, string.match, struct.pack, struct.unpack
local header_format, bucket_format = '<ddddd', '<dd'

-- ARGV[1] is empty: the time is Redis' own, in whole milliseconds. The contract suite puts the time of its own clock there.
local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = call('TIME')
  return time[1] * 1000 + floor(time[2] / 1000)
end

local texts = {}
local function text_of(number)
  local text = texts[number]
  if not text then
    text = format('%.0f', number)
    texts[number] = text
  end
  return text
end

-- gives count and latest charge
local function read_bucket(bucket)
  if not bucket then return 0, 0 end
  return unpack_numbers(bucket_format, bucket)
end

local function forget(window, index, bucket)
  window.sum = window.sum - read_bucket(bucket)
  window.gone = window.gone or {}
  window.gone[#window.gone + 1] = index
end

-- takes the buckets from `low` to before `edge` out of the sum; each is met once in its life, after a long pause by looking at what is there
local function release(window, low, edge)
  if edge - low <= 128 then
    local indexes = {}
    for index = low, edge - 1 do indexes[#indexes + 1] = text_of(index) end
    local stored = call('HMGET', window.key, unpack(indexes))
    for position = 1, #indexes do
      if stored[position] then forget(window, indexes[position], stored[position]) end
    end
    return
  end
  local all = call('HGETALL', window.key)
  for position = 1, #all, 2 do
    local index = tonumber(all[position])
    if index and index < edge then forget(window, all[position], all[position + 1]) end
  end
end

-- The window as it is at `now`, in locals: nothing is written before `commit`. `at`: the moment that will be charged.
local function open(key, width, k, now, at)
  local index = floor(now / width)
  local target, edge = max(index, floor(at / width)), index - k
  local stored = call('HMGET', key, 'h', text_of(target), text_of(edge))
  if not stored[1] then
    return { key = key, width = width, k = k, at = now, index = index, low = index, sum = 0, anchor = 0, expires = 0, target = target, count = 0, last = 0, fresh = true }
  end
  local high, low, sum, anchor, expires = unpack_numbers(header_format, stored[1])
  -- the clock is behind by one bucket: the stored one is used
  if index == high - 1 then return open(key, width, k, high * width, max(at, high * width)) end
  local window = { key = key, width = width, k = k, at = now, index = index, low = index, sum = sum, anchor = anchor, expires = expires, target = target, count = 0, last = 0 }
  if index < high then
    -- behind by more (a failover): all counts move to the bucket of this moment
    window.fresh, window.reset, window.anchor, window.expires = true, true, anchor + 1, 0
    if target == index then
      window.count, window.last, window.dirty = sum, now - index * width, true
    else
      window.others = { [index] = { count = sum, last = now - index * width } }
    end
    return window
  end
  window.count, window.last = read_bucket(stored[2])
  if low < edge then
    release(window, low, edge)
    low = edge
  end
  if low == edge then
    -- strictly older than the span: two readings in whole milliseconds may be less than their difference apart
    local _, last = read_bucket(stored[3])
    if not stored[3] then
      low = edge + 1
    elseif last < now - index * width then
      forget(window, text_of(edge), stored[3])
      low = edge + 1
    end
  end
  window.low = low
  return window
end

-- a bucket that is not the target: only settlements touch any
local function other_bucket(window, index)
  window.others = window.others or {}
  local bucket = window.others[index]
  if not bucket then
    local text = not window.fresh and call('HGET', window.key, text_of(index))
    bucket = {}
    bucket.count, bucket.last = read_bucket(text)
    window.others[index] = bucket
  end
  return bucket
end

local function charge(window, at, amount)
  at = max(at, window.at)
  local index = floor(at / window.width)
  window.sum = window.sum + amount
  local bucket = window
  if index == window.target then window.dirty = true else bucket = other_bucket(window, index) end
  bucket.count = bucket.count + amount
  bucket.last = max(bucket.last, at - index * window.width)
  return index
end

local function refund(window, index, anchor, amount)
  if anchor ~= window.anchor or index < window.low then return end
  local bucket = window
  if index == window.target then window.dirty = true else bucket = other_bucket(window, index) end
  local back = min(amount, bucket.count)
  bucket.count = bucket.count - back
  window.sum = window.sum - back
end

-- writes the window; `latest` is the latest moment that was charged
local function commit(window, latest)
  local key = window.key
  if window.reset then
    call('DEL', key)
  elseif window.gone then
    call('HDEL', key, unpack(window.gone))
  end
  -- the TTL is moved a quarter of a span at a time, so that few commits pay for it
  local span = window.k * window.width
  local needed = max(window.at, latest) + span + 2 * window.width
  local prolong = window.expires < needed
  if prolong then window.expires = needed + floor(span / 4) end
  local head = pack_numbers(header_format, window.index, window.low, window.sum, window.anchor, window.expires)
  if window.dirty then
    call('HSET', key, 'h', head, text_of(window.target), pack_numbers(bucket_format, window.count, window.last))
  else
    call('HSET', key, 'h', head)
  end
  if window.others then
    for index, other in pairs(window.others) do call('HSET', key, text_of(index), pack_numbers(bucket_format, other.count, other.last)) end
  end
  if prolong then call('PEXPIREAT', key, text_of(window.expires)) end
end

-- a set without a TTL would outlive a crashed proxy for ever; it never shortens, since others may hold longer
local function keep_slots(key, hold)
  if call('PTTL', key) < hold then call('PEXPIRE', key, format('%.0f', hold + 60000)) end
end
