-- What happens to admitted requests afterwards, in order: `settle` (also a release: no tokens, the request given back), `renew`, `spend` (a request that a proxy admitted out of a lease)
-- and `event` (what a request used that counts against nothing). A lease is an admission of its own: its marker and its reservation hold what is left of it.
-- The marker of an admission makes settling idempotent: settling removes it, and without it nothing happens. Money has a marker of its own, its reservation (budget.lua).
-- What several share (windows, budgets, markers) is read once and written once, at the end. A request that is spent and settled in one call leaves no marker behind.
-- KEYS: marker of the call where it has one, then one hash per window, then all others, by position.
-- ARGV: time or '', how long the marker of the call is kept in ms or '' without; how many windows, then three per window: name, width, k;
--       how many keys with money, then six per key: key id, and positions in KEYS of budgets, held, until, due and usage; then the items:
--       `settle`/`renew`: position of its marker, of the slots of its key, request id, true tokens so far, how many requests to give back at most or '' to give nothing back (of a lease there are many), hold in ms, which money or 0, true cost so far,
--       letters of budgets that it is charged to although nothing is known of the request (its reservation was lost), and when it was known,
--       position of usage or 0, usage event, how many windows, and their places.
--       `spend`: position of its marker, of the slots of its key or 0, request id, hold in ms, position of the lease's marker, lease id, which money or 0, bound, floor, letters of budgets,
--       how many windows, and three per window: place, amount, kind. `event`: position of usage, usage event.
-- Gives, per key with money that changed: key id, and a list of field and spend of each window of a budget that changed, at last 'e' and the life in which it was opened.
local now = clock()
local per_window, per_money = 3, 6
local first_window = ARGV[2] == '' and 0 or 1
if first_window == 1 and not call('SET', KEYS[1], '1', 'PX', ARGV[2], 'NX') then return {} end
local windows_from, window_count = 4, tonumber(ARGV[3])
local monies_from = windows_from + per_window * window_count + 1
local cursor = monies_from + per_money * tonumber(ARGV[monies_from - 1])

local function take()
  cursor = cursor + 1
  return ARGV[cursor - 1]
end

local function take_number() return tonumber(take()) end

local opened, written = {}, {}
-- `at`: the moment that will be charged
local function window_at(place, at)
  local window = opened[place]
  if not window then
    local base = windows_from + (place - 1) * per_window
    window = open(KEYS[first_window + place], tonumber(ARGV[base + 1]), tonumber(ARGV[base + 2]), now, at)
    opened[place] = window
    written[#written + 1] = window
  end
  window.latest = max(window.latest or 0, at)
  return window
end

local function name_of(place) return ARGV[windows_from + (place - 1) * per_window] end

local monies, opened_monies = {}, {}
local function money_at(which)
  local money = monies[which]
  if not money then
    local base, keys = monies_from + (which - 1) * per_money, {}
    for position, name in ipairs({ 'hash', 'held', 'till', 'due', 'usage' }) do keys[name] = KEYS[tonumber(ARGV[base + position])] end
    money = open_budgets(keys, ARGV[base], now, {})
    monies[which] = money
    opened_monies[#opened_monies + 1] = money
  end
  return money
end

local requests, request_list = {}, {}
-- The request of a marker as this call has made it: `marker` is nil where there is none (any more).
local function request_at(key)
  local request = requests[key]
  if request then return request end
  local text = call('GET', key)
  request = { key = key, stored = text }
  if text then
    local till, admitted_at, booked, shadow = match(text, '^(%d+) (%d+) (%d+) ([%d,]*)')
    local lines = {}
    for bucket, amount, anchor, kind, name in string.gmatch(text, '\n(%d+) (%d+) (%d+) (%l) ([^\n]*)') do
      lines[#lines + 1] = { bucket = tonumber(bucket), amount = tonumber(amount), anchor = tonumber(anchor), kind = kind, name = name }
    end
    request.marker = { till = tonumber(till), admitted_at = admitted_at, booked = tonumber(booked), shadow = shadow, lines = lines }
  end
  requests[key] = request
  request_list[#request_list + 1] = request
  return request
end

local function write_requests()
  local gone = {}
  for _, request in ipairs(request_list) do
    local marker = request.marker
    if marker and request.dirty then
      local lines = { format('%.0f %s %.0f ', marker.till, marker.admitted_at, marker.booked) .. marker.shadow }
      for position, line in ipairs(marker.lines) do
        lines[position + 1] = format('%.0f %.0f %.0f %s %s', line.bucket, line.amount, line.anchor, line.kind, line.name)
      end
      call('SET', request.key, table.concat(lines, '\n'), 'PX', format('%.0f', marker.till - now))
    elseif request.stored and not marker then
      gone[#gone + 1] = request.key
    end
  end
  if #gone > 0 then call('DEL', unpack(gone)) end
end

-- what is still reserved of a line's tokens gives way to what has flowed; the rest stays reserved while the request runs. Gives where that was booked.
local function book_tokens(line, place, flowed, deadline)
  local window = window_at(place, deadline or now)
  refund(window, line.bucket, line.anchor, line.amount)
  local booked = charge(window, now, flowed)
  if not deadline then return end
  line.amount = max(0, line.amount - flowed)
  line.bucket, line.anchor = charge(window, deadline, line.amount), window.anchor
  return { bucket = booked, amount = flowed, anchor = window.anchor, kind = 'f', name = line.name }
end

-- `deadline`: of one that runs on; without it the request has ended
local function book_windows(marker, item, deadline)
  local flowed = max(0, item.tokens - marker.booked)
  -- what had flowed was a guess; too much of it is given back where it was booked first, so that no later moment has less than was used then
  local surplus = deadline and 0 or max(0, marker.booked - item.tokens)
  local first = {}
  for _, line in ipairs(marker.lines) do
    local place = item.places[line.name]
    if place and line.kind == 't' then
      first[#first + 1] = book_tokens(line, place, flowed, deadline)
    elseif place and line.kind == 'f' then
      if surplus > 0 then refund(window_at(place, now), line.bucket, line.anchor, min(line.amount, surplus)) end
    elseif place and item.give_back and not deadline then
      refund(window_at(place, now), line.bucket, line.anchor, min(line.amount, item.give_back))
    end
  end
  if marker.booked == 0 and flowed > 0 then
    for _, line in ipairs(first) do marker.lines[#marker.lines + 1] = line end
  end
  marker.booked = marker.booked + flowed
end

local freed = {}
local function free_slot(slots, id)
  local ids = freed[slots] or {}
  freed[slots], ids[#ids + 1] = ids, id
end

local function write_freed(slots)
  if freed[slots] then call('ZREM', slots, unpack(freed[slots])) end
  freed[slots] = nil
end

local function settle_windows(item)
  local request = request_at(item.marker)
  local marker = request.marker
  free_slot(item.slots, item.id)
  request.marker = nil
  -- past its deadline the reservation has become used tokens by itself
  if marker and marker.till > now then book_windows(marker, item) end
end

local function renew_windows(item)
  local request, deadline = request_at(item.marker), now + item.hold
  local marker = request.marker
  if not marker or marker.till <= now then return end
  book_windows(marker, item, deadline)
  marker.till, request.dirty = deadline, true
  write_freed(item.slots)
  if call('ZSCORE', item.slots, item.id) then
    call('ZADD', item.slots, format('%.0f', deadline), item.id)
    keep_slots(item.slots, item.hold)
  end
end

local streams = {}
local function tell(usage, event)
  if event == '' then return end
  append_event(usage, event)
  streams[usage] = true
end

local function settle_or_renew(renewing)
  local item = { marker = KEYS[take_number()], slots = KEYS[take_number()], id = take(), tokens = take_number(), give_back = take_number(), hold = take_number() }
  local which, cost, letters, known, usage, event = take_number(), take_number(), take(), take_number(), KEYS[take_number()], take()
  item.places = {}
  for _ = 1, take_number() do
    local place = take_number()
    item.places[name_of(place)] = place
  end
  if renewing then renew_windows(item) else settle_windows(item) end
  if which > 0 and renewing then renew_money(money_at(which), item.id, cost, item.hold) end
  if which > 0 and not renewing then settle_money(money_at(which), item.id, item.give_back and 0 or cost, { letters = letters, known = known }) end
  tell(usage, event)
end

local function line_of(marker, name)
  for _, line in ipairs(marker and marker.lines or {}) do
    if line.name == name then return line end
  end
end

-- What a request used of a window comes out of the lease; what the lease does not hold is charged, and never refused.
local function spend_window(lease, place, amount, kind, deadline)
  local name = name_of(place)
  local line = line_of(lease.marker, name)
  local taken = line and min(amount, line.amount) or 0
  if taken > 0 then line.amount, lease.dirty = line.amount - taken, true end
  if kind == 'r' then
    -- the window was charged when the lease was booked
    if not lease.marker then return end
    if taken == amount then return { bucket = line.bucket, amount = amount, anchor = line.anchor, kind = kind, name = name } end
    deadline = now
  end
  local window = window_at(place, deadline)
  if taken > 0 then refund(window, line.bucket, line.anchor, taken) end
  return { bucket = charge(window, deadline, amount), amount = amount, anchor = window.anchor, kind = kind, name = name }
end

local function spend()
  local request, slots, id, hold = request_at(KEYS[take_number()]), KEYS[take_number()], take(), take_number()
  local lease, lease_id = request_at(KEYS[take_number()]), take()
  local which, bound, least, letters = take_number(), take_number(), take_number(), take()
  local count = take_number()
  local from, deadline = cursor, now + hold
  cursor = cursor + 3 * count
  if request.marker then return end
  -- past its deadline a lease holds nothing any more
  if lease.marker and lease.marker.till <= now then lease = {} end
  local lines = {}
  for use = from, cursor - 1, 3 do
    lines[#lines + 1] = spend_window(lease, tonumber(ARGV[use]), tonumber(ARGV[use + 1]), ARGV[use + 2], deadline)
  end
  request.marker, request.dirty = { till = deadline, admitted_at = text_of(now), booked = 0, shadow = '', lines = lines }, true
  if slots then
    write_freed(slots)
    call('ZADD', slots, text_of(deadline), id)
    keep_slots(slots, hold)
  end
  if which > 0 then spend_money(money_at(which), id, { lease = lease_id, bound = bound, floor = least, till = deadline, letters = letters }) end
end

local run = {
  settle = function() settle_or_renew(false) end,
  renew = function() settle_or_renew(true) end,
  spend = spend,
  event = function() tell(KEYS[take_number()], take()) end,
}
while cursor <= #ARGV do run[take()]() end

write_requests()
for slots in pairs(freed) do write_freed(slots) end
for _, window in ipairs(written) do commit(window, window.latest) end
for usage in pairs(streams) do keep_usage(usage) end
local told = {}
for _, money in ipairs(opened_monies) do
  local changed = close_budgets(money)
  if #changed > 0 then
    changed[#changed + 1], changed[#changed + 2] = 'e', money.epoch or ''
    told[#told + 1], told[#told + 2] = money.id, changed
  end
end
return told
