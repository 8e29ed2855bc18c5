-- Budgets of a key: spend and reservations per calendar window, integer nano-dollars; the same as budget-store.ts. Put behind window.lua in every script that moves money.
-- Hash of the key: field D<days since 1970>, W<weeks>, M<months since the year 0>, T0 -> spent and reserved, packed as doubles, exact below 2^53; e -> the life of the store in which the
-- spend was restored (core/budget-restore.ts); d -> what stands of this key in the list of what is due. p and such a field -> what was spent in a hash that has not been opened
-- yet: what is restored is a maximum, so this must be added after it, not before; b and such a field, eb -> what stood there when it was opened, and in which life. Held: request id -> "until left booked floor state windows"; the reservation
-- is its own marker. Until: request id by its deadline, or by the end of its tombstone. Due: key id by the earliest of those, so that any proxy can sweep what nobody asks about.
local money_format, tombstone, most_lapsed, day = '<dd', 86400000, 16, 86400000
-- more than a year; what an idle key has spent of a total comes back from the operator's checkpoint after that
local budgets_kept, usage_kept = '34560000000', '2592000000'

-- months since the year 0 of a day since 1970 (Hinnant, "chrono-compatible low-level date algorithms")
local function month_of(days)
  local shifted = days + 719468
  local era = floor(shifted / 146097)
  local of_era = shifted - era * 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
  local from_march = floor((5 * of_year + 2) / 153)
  return (year + era * 400) * 12 + from_march + 2
end

local function window_id(letter, now)
  if letter == 'T' then return 0 end
  local days = floor(now / day)
  if letter == 'D' then return days end
  if letter == 'W' then return floor((days + 3) / 7) end
  return month_of(days)
end

local function read_money(packed)
  if not packed then return { spent = 0, reserved = 0, fresh = true } end
  local spent, reserved = unpack_numbers(money_format, packed)
  return { spent = spent, reserved = reserved }
end

-- The budgets of one key in this call: opened once, written once by close_budgets. keys: hash, held, until, due, usage; fields: windows that will be looked at.
local function open_budgets(keys, id, now, fields)
  local stored = call('HMGET', keys.hash, 'e', 'd', unpack(fields))
  local money = { keys = keys, id = id, now = now, epoch = stored[1], due = tonumber(stored[2] or nil), windows = {}, helds = {} }
  for position = 1, #fields do money.windows[fields[position]] = read_money(stored[position + 2]) end
  return money
end

local function budget_window(money, field)
  local window = money.windows[field]
  if not window then
    window = read_money(call('HGET', money.keys.hash, field))
    money.windows[field] = window
  end
  return window
end

local function spend_later(money, field, spent)
  local later = 'p' .. field
  call('HSET', money.keys.hash, later, format('%.0f', tonumber(call('HGET', money.keys.hash, later) or '0') + spent))
end

local function book_money(money, fields, spent, released)
  for field in string.gmatch(fields, '[^,]+') do
    local window = budget_window(money, field)
    if money.epoch then
      window.spent = max(0, window.spent + spent)
    elseif spent ~= 0 then
      spend_later(money, field, spent)
    end
    window.reserved, window.dirty = max(0, window.reserved - released), true
  end
end

local function read_held(money, id)
  local known = money.helds[id]
  if known then return known.held end
  local text = call('HGET', money.keys.held, id)
  known = { absent = not text }
  money.helds[id] = known
  if not text then return end
  local till, left, booked, least, state, fields = match(text, '^(%d+) (%d+) (%d+) (%d+) (%l+) (.*)$')
  known.held = { till = tonumber(till), left = tonumber(left), booked = tonumber(booked), floor = tonumber(least), state = state, fields = fields }
  return known.held
end

local function held_text(held)
  return format('%.0f %.0f %.0f %.0f %s %s', held.till, held.left, held.booked, held.floor, held.state, held.fields)
end

-- of a reservation that has been read; written by close_budgets
local function write_held(money, id, held)
  local known = money.helds[id]
  known.held, known.dirty = held, true
end

local function drop_held(money, id)
  local known = money.helds[id]
  -- one that came and went in this call was never written
  known.held, known.dirty = nil, not (known.absent and known.dirty)
end

local function write_helds(money)
  local kept, till, gone = {}, {}, {}
  for id, known in pairs(money.helds) do
    local held = known.dirty and known.held
    if held then
      kept[#kept + 1], kept[#kept + 2] = id, held_text(held)
      till[#till + 1], till[#till + 2] = format('%.0f', held.till), id
      if held.state == 'held' and (not money.due or held.till < money.due) then money.due, money.due_moved = held.till, true end
    elseif known.dirty then
      gone[#gone + 1] = id
    end
  end
  if #gone > 0 then
    call('HDEL', money.keys.held, unpack(gone))
    call('ZREM', money.keys.till, unpack(gone))
  end
  if #kept > 0 then
    call('HSET', money.keys.held, unpack(kept))
    call('ZADD', money.keys.till, unpack(till))
  end
end

local function append_event(usage, event) call('XADD', usage, 'MAXLEN', '~', '10000', '*', 'e', event) end

local function keep_usage(usage) call('PEXPIRE', usage, usage_kept) end

local function add_event(usage, event)
  append_event(usage, event)
  keep_usage(usage)
end

-- What nobody settled becomes spend: what has flowed, at least the estimated input. A tombstone stays, against which a late settlement books the difference.
local function lapse(money, id, held, tell)
  book_money(money, held.fields, max(0, held.floor - held.booked), held.left)
  held.booked, held.left, held.till, held.state = max(held.booked, held.floor), 0, held.till + tombstone, 'lapsed'
  write_held(money, id, held)
  if tell then
    add_event(money.keys.usage, format('{"requestId":%s,"keyId":%s,"status":499,"usage":{},"costNanoUsd":%.0f,"durationMs":0}', cjson.encode(id), cjson.encode(money.id), held.booked))
  end
end

-- gives how many were over; few per call, since one script holds up everybody else
local function sweep_held(money)
  local over = call('ZRANGEBYSCORE', money.keys.till, '-inf', format('%.0f', money.now), 'LIMIT', 0, most_lapsed)
  for position = 1, #over do
    local held = read_held(money, over[position])
    if held and held.state == 'held' then lapse(money, over[position], held, true) else drop_held(money, over[position]) end
  end
  return #over
end

-- The reservation of a request as it is now: what is past its deadline has lapsed, whether anybody has swept it or not.
local function find_held(money, id)
  local held = read_held(money, id)
  if held and held.state == 'held' and held.till <= money.now then lapse(money, id, held, false) end
  if held and held.till <= money.now then
    drop_held(money, id)
    return
  end
  return held
end

local function reserve(money, id, fields, bound, least, deadline)
  local held = { till = deadline, left = bound, booked = 0, floor = min(least, bound), state = 'held', fields = fields }
  if call('HSETNX', money.keys.held, id, held_text(held)) == 0 then
    local before = find_held(money, id)
    -- this very request, told once more
    if before and before.state == 'held' then return end
    call('HSET', money.keys.held, id, held_text(held))
  end
  money.helds[id] = { held = held }
  call('ZADD', money.keys.till, format('%.0f', deadline), id)
  book_money(money, fields, 0, -bound)
  if not money.due or deadline < money.due then money.due, money.due_moved = deadline, true end
end

local function fields_of(money, letters)
  local list = {}
  for letter in string.gmatch(letters, '%u') do list[#list + 1] = letter .. text_of(window_id(letter, money.now)) end
  return table.concat(list, ',')
end

-- The true cost, once. `lost`: letters of budgets that are charged where no reservation is left, by somebody who knows that there was one within the life of its tombstone, and settles once.
local function settle_money(money, id, cost, lost)
  local held = find_held(money, id)
  if not held then
    if cost > 0 and money.now - lost.known < tombstone then book_money(money, fields_of(money, lost.letters), cost, 0) end
    return
  end
  book_money(money, held.fields, cost - held.booked, held.left)
  drop_held(money, id)
end

-- What has flowed so far is spent and the rest stays reserved. One that has lapsed books, and reserves nothing any more.
local function renew_money(money, id, cost, hold)
  local held = find_held(money, id)
  if not held then return end
  local flowed = max(0, cost - held.booked)
  local released = min(flowed, held.left)
  book_money(money, held.fields, flowed, released)
  held.booked, held.left = held.booked + flowed, held.left - released
  held.till = money.now + (held.state == 'held' and hold or tombstone)
  write_held(money, id, held)
end

-- A request that was admitted out of a lease: what the lease holds for it becomes its own reservation, in the windows in which the lease was booked. Never refused.
local function spend_money(money, id, spent)
  local before = find_held(money, id)
  if before and before.state == 'held' then return end
  local lease, fields = find_held(money, spent.lease), nil
  local moved, lapsed = 0, 0
  if lease then
    fields, moved = lease.fields, min(spent.bound, lease.left)
    -- one that has lapsed was spent for this request as well
    if lease.state == 'lapsed' then lapsed = min(spent.floor, lease.booked) end
    lease.left, lease.booked = lease.left - moved, lease.booked - lapsed
    lease.floor = min(lease.left, max(0, lease.floor - spent.floor))
    write_held(money, spent.lease, lease)
  else
    fields = fields_of(money, spent.letters)
  end
  book_money(money, fields, -lapsed, moved - spent.bound)
  read_held(money, id)
  write_held(money, id, { till = spent.till, left = spent.bound, booked = 0, floor = min(spent.floor, spent.bound), state = 'held', fields = fields })
end

-- two before the window of this moment: a request of its last minute, and a clock that goes back a little, still find theirs
local function forget_past_windows(money)
  local fields = call('HKEYS', money.keys.hash)
  for position = 1, #fields do
    local letter, id = match(fields[position], '^b?([DWM])(%d+)$')
    if letter and tonumber(id) < window_id(letter, money.now) - 1 then call('HDEL', money.keys.hash, fields[position]) end
  end
end

-- Writes what has changed. Gives field and spend of each window that was written.
local function close_budgets(money)
  write_helds(money)
  local changed, told, fresh = {}, {}, false
  for field, window in pairs(money.windows) do
    if window.dirty then
      changed[#changed + 1], changed[#changed + 2] = field, pack_numbers(money_format, window.spent, window.reserved)
      told[#told + 1], told[#told + 2] = field, window.spent
      fresh = fresh or window.fresh
    end
  end
  if money.due_moved then
    changed[#changed + 1], changed[#changed + 2] = 'd', format('%.0f', money.due)
    call('ZADD', money.keys.due, format('%.0f', money.due), money.id)
    call('PEXPIRE', money.keys.due, budgets_kept)
  end
  if #changed > 0 then call('HSET', money.keys.hash, unpack(changed)) end
  if fresh then forget_past_windows(money) end
  if fresh or money.due_moved then
    for _, key in ipairs({ money.keys.hash, money.keys.held, money.keys.till }) do call('PEXPIRE', key, budgets_kept) end
  end
  return told
end
