-- Admission of one request against all limits of its key: check everything, then commit everything.
-- KEYS: marker of the request, slots of the key, one hash per window, revocations of the tag.
-- ARGV: time or '', request id, hold in ms, concurrency limit or -1, '1' if that is shadow; then six per window: name, width, k, limit, amount, kind
--       kind: r requests, t tokens; upper case = shadow.
--       At the end: field of the key's object in the revocations, field of any object of that name, gen of the record that the proxy has, credential that was shown.
-- Marker: "deadline admitted-at booked shadow-refusals", then a line per window: "bucket amount anchor kind name".
-- Gives {1, admitted at, shadow refusals, sum per window...} or {0, time, refusing window or 0 for concurrency, wait in ms, sum per window...},
-- or {2, time, what stands of the object, what stands of the name} when that overrules the proxy's record (core/revocation.ts).
local id, hold, slot_limit = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = clock()
local deadline = now + hold

-- when `excess` of what counts will have aged out; the only part that looks at every bucket
local function wait_for(window, excess)
  local span = window.k * window.width
  if window.reset then return span + 1 end
  local buckets, all = {}, call('HGETALL', window.key)
  for position = 1, #all, 2 do
    local index = tonumber(all[position])
    if index and index >= window.low then buckets[#buckets + 1] = { index, all[position + 1] } end
  end
  table.sort(buckets, function(left, right) return left[1] < right[1] end)
  for _, bucket in ipairs(buckets) do
    local count, last = read_bucket(bucket[2])
    excess = excess - count
    if excess <= 0 then return bucket[1] * window.width + last + span + 1 - now end
  end
  return span + 1
end

local function sums_after(answer, windows)
  for position = 1, #windows do answer[#answer + 1] = windows[position].sum end
  return answer
end

-- whatever pub/sub has lost, an admission finds: the same key space, the same round trip
local function overrules(stands)
  if not stands then return false end
  local gen, state, ended = match(stands, '^(%d+) (%a+) ?(.*)$')
  if state == 'Revoked' or state == 'Deleted' then return true end
  if state == 'Suspended' and tonumber(gen) > tonumber(ARGV[#ARGV - 1]) then return true end
  return ended ~= nil and string.find(ended, ARGV[#ARGV], 1, true) ~= nil
end
local stands = call('HMGET', KEYS[#KEYS], ARGV[#ARGV - 3], ARGV[#ARGV - 2])
if overrules(stands[1]) or overrules(stands[2]) then return { 2, now, stands[1] or '', stands[2] or '' } end

local windows, count = {}, #KEYS - 3
for position = 1, count do
  local base = position * 6
  local kind = ARGV[base + 5]
  local at = (kind == 't' or kind == 'T') and deadline or now
  windows[position] = open(KEYS[position + 2], tonumber(ARGV[base + 1]), tonumber(ARGV[base + 2]), now, at)
end

local marker = call('GET', KEYS[1])
if marker then
  local held_until, admitted_at, shadow = match(marker, '^(%d+) (%d+) %d+ ([%d,]*)')
  if tonumber(held_until) > now then return sums_after({ 1, tonumber(admitted_at), shadow }, windows) end
end

-- check
local refusing, longest, shadow_refusals = nil, -1, ''
for position = 1, count do
  local base, window = position * 6, windows[position]
  local limit = tonumber(ARGV[base + 3])
  local excess = window.sum + ARGV[base + 4] - limit
  if limit == 0 or excess > 0 then
    local kind = ARGV[base + 5]
    if kind == 'R' or kind == 'T' then
      shadow_refusals = shadow_refusals .. text_of(position) .. ','
    elseif limit == 0 then
      -- never fits: named before all others
      refusing, longest = position, 60000
      break
    else
      local wait = wait_for(window, excess)
      if wait > longest then refusing, longest = position, wait end
    end
  end
end
if slot_limit >= 0 and call('ZCOUNT', KEYS[2], '(' .. text_of(now), '+inf') >= slot_limit then
  if ARGV[5] == '1' then
    shadow_refusals = shadow_refusals .. '0,'
  elseif not refusing then
    refusing, longest = 0, 0
  end
end
if refusing then return sums_after({ 0, now, refusing, longest }, windows) end

-- commit
local entry = { text_of(deadline), ' ', text_of(now), ' 0 ', shadow_refusals }
local size = 5
for position = 1, count do
  local base, window = position * 6, windows[position]
  local amount, kind = ARGV[base + 4], ARGV[base + 5]
  if kind == 'R' then kind = 'r' elseif kind == 'T' then kind = 't' end
  local bucket = charge(window, kind == 't' and deadline or now, tonumber(amount))
  commit(window, deadline)
  entry[size + 1] = '\n' .. text_of(bucket) .. ' ' .. amount .. ' ' .. text_of(window.anchor) .. ' ' .. kind .. ' ' .. ARGV[base]
  size = size + 1
end
call('SET', KEYS[1], table.concat(entry), 'PX', ARGV[3])
if slot_limit >= 0 then
  local lapsed = call('ZRANGEBYSCORE', KEYS[2], '-inf', text_of(now), 'LIMIT', 0, 16)
  if #lapsed > 0 then call('ZREM', KEYS[2], unpack(lapsed)) end
  call('ZADD', KEYS[2], text_of(deadline), id)
  keep_slots(KEYS[2], hold)
end
return sums_after({ 1, now, shadow_refusals }, windows)
