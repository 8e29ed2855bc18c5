-- Admissions of keys that share a tag, one after the other: each is checked against all limits of its key and then committed in all of them before the next is looked at.
-- What several share is read once and written once, at the end; markers and slots are written as each is admitted.
-- KEYS: revocations of the tag, one hash per window, then markers of requests and slots of keys; each once; at last the life of the tag (store-lives.ts).
-- ARGV: time or '', how many windows, then three per window: name, width, k (position p: its key is KEYS[p + 1]).
--       Then per admission: position in KEYS of its marker and of the slots of its key, request id, hold in ms, concurrency limit or -1, '1' if that is shadow,
--       field of the key's object in the revocations ('': nobody asks who could be revoked), field of any object of that name, gen of the record that the proxy has, credential that was shown,
--       how many windows, how long in ms what is charged may be spent (0: it is one request, now), and four per window: its position, limit, amount, kind. Kind: r requests, t tokens; upper case = shadow.
--       Then how many budgets; where there are any: positions in KEYS of budgets, held, until, due and usage, key id, epoch, bound, floor, and three per budget: letter, limit, '1' if shadow.
-- At last the life that the proxy knows; '' = it is not looked at.
-- Marker: "deadline admitted-at booked shadow-refusals", then a line per window: "bucket amount anchor kind name".
-- Gives a list per admission: {1, admitted at, shadow refusals, sum per window...} or {0, time, refusing window or 0 for concurrency, wait in ms, sum per window...},
-- or {2, time, what stands of the object, what stands of the name} when that overrules the proxy's record (core/revocation.ts),
-- or {3, time, budgets that are used up, sum per window...}, or {4, time}: the spend must be restored first (core/budget-restore.ts),
-- or {5, time} for all: the store is in another life, and has to be told of the one before.
-- With money the last of 0, 1 and 3 is a list, three per budget: window, spent, reserved. Shadow refusals: positions of windows, 0 concurrency, 1000 + position of a budget.
local now = clock()
local per_window, fixed, per_use = 3, 12, 4
-- what is booked in advance is spent in the narrowest sub-bucket that there is (core/limit.ts); wider ones begin where one of those does
local narrowest = 2000

local opened, charged = {}, {}
-- A window of this call, opened once, so that an admission sees what those before it charged. `at`: the moment that will be charged.
local function window_at(position, at)
  local window = opened[position]
  if not window then
    local base = position * per_window
    window = open(KEYS[position + 1], tonumber(ARGV[base + 1]), tonumber(ARGV[base + 2]), now, at)
    opened[position] = window
  end
  return window
end

local monies, opened_monies = {}, {}
-- The budgets of a key in this call, opened and swept once, so that an admission sees what those before it reserved.
local function money_at(keys, id, fields)
  local money = monies[keys.hash]
  if not money then
    money = open_budgets(keys, id, now, fields)
    monies[keys.hash] = money
    opened_monies[#opened_monies + 1] = money
    sweep_held(money)
  end
  return money
end

local fixed_of_money, per_budget = 10, 3
-- gives where the next admission's arguments begin
local function read_money_arguments(request, base)
  local count = tonumber(ARGV[base])
  request.budget_count = count
  if count == 0 then return base + 1 end
  local keys = {}
  for position, name in ipairs({ 'hash', 'held', 'till', 'due', 'usage' }) do keys[name] = KEYS[tonumber(ARGV[base + position])] end
  request.epoch, request.bound, request.floor = ARGV[base + 7], tonumber(ARGV[base + 8]), tonumber(ARGV[base + 9])
  request.budgets, request.fields, request.ids = {}, {}, {}
  local use = base + fixed_of_money
  for position = 1, count do
    local letter = ARGV[use]
    local id = window_id(letter, now)
    request.ids[position], request.fields[position] = id, letter .. text_of(id)
    request.budgets[position] = { limit = tonumber(ARGV[use + 1]), shadow = ARGV[use + 2] == '1' }
    use = use + per_budget
  end
  request.money = money_at(keys, ARGV[base + 6], request.fields)
  return use
end

-- when the last request that this is charged for is let in
local function spent_by(span)
  if span == 0 then return now end
  return min(now + span, (floor(now / narrowest) + 1) * narrowest - 1)
end

-- The admission whose arguments begin at `base`, and where the next one's do.
local function read_admission(base)
  local hold, count = tonumber(ARGV[base + 3]), tonumber(ARGV[base + 10])
  local request = {
    marker = KEYS[tonumber(ARGV[base])], slots = KEYS[tonumber(ARGV[base + 1])], id = ARGV[base + 2],
    hold = hold, deadline = now + hold, slot_limit = tonumber(ARGV[base + 4]), slots_shadow = ARGV[base + 5] == '1',
    object = ARGV[base + 6], object_name = ARGV[base + 7], gen = tonumber(ARGV[base + 8]), credential = ARGV[base + 9],
    spent_by = spent_by(tonumber(ARGV[base + 11])), count = count, windows = {}, limits = {}, amounts = {}, kinds = {}, names = {}, shadow = '',
  }
  local use = base + fixed
  for position = 1, count do
    local place, kind = tonumber(ARGV[use]), ARGV[use + 3]
    request.windows[position] = window_at(place, (kind == 't' or kind == 'T') and request.deadline or now)
    request.names[position] = ARGV[place * per_window]
    request.limits[position], request.amounts[position], request.kinds[position] = tonumber(ARGV[use + 1]), tonumber(ARGV[use + 2]), kind
    use = use + per_use
  end
  return request, read_money_arguments(request, use)
end

local function sums_after(answer, request)
  local size = #answer
  for position = 1, request.count do answer[size + position] = request.windows[position].sum end
  if request.money then
    local figures = {}
    for position = 1, request.budget_count do
      local window, last = budget_window(request.money, request.fields[position]), #figures
      figures[last + 1], figures[last + 2], figures[last + 3] = request.ids[position], window.spent, window.reserved
    end
    answer[#answer + 1] = figures
  end
  return answer
end

-- when `excess` of what counts will have aged out; the only part that looks at every bucket
local function wait_for(window, excess)
  local span = window.k * window.width
  local buckets, others = { { window.target, window.count, window.last } }, window.others or {}
  for index, other in pairs(others) do buckets[#buckets + 1] = { index, other.count, other.last } end
  local all = window.fresh and {} or call('HGETALL', window.key)
  for position = 1, #all, 2 do
    local index = tonumber(all[position])
    if index and index >= window.low and index ~= window.target and not others[index] then
      buckets[#buckets + 1] = { index, read_bucket(all[position + 1]) }
    end
  end
  table.sort(buckets, function(left, right) return left[1] < right[1] end)
  for _, bucket in ipairs(buckets) do
    excess = excess - bucket[2]
    if excess <= 0 then return bucket[1] * window.width + bucket[3] + span + 1 - now end
  end
  return span + 1
end

local function overrules(stands, request)
  if not stands then return false end
  local gen, state, ended = match(stands, '^(%d+) (%a+) ?(.*)$')
  if state == 'Revoked' or state == 'Deleted' then return true end
  if state == 'Suspended' and tonumber(gen) > request.gen then return true end
  return ended ~= nil and string.find(ended, request.credential, 1, true) ~= nil
end

local standing = {}
-- whatever pub/sub has lost, an admission finds: the same key space, the same round trip
local function check_revocations(request)
  if request.object == '' then return end
  local stands = standing[request.object]
  if not stands then
    stands = call('HMGET', KEYS[1], request.object, request.object_name)
    standing[request.object] = stands
  end
  if overrules(stands[1], request) or overrules(stands[2], request) then return { 2, now, stands[1] or '', stands[2] or '' } end
end

-- the answer of the first time, when this request was admitted before
local function find_marker(request)
  local marker = call('GET', request.marker)
  if not marker then return end
  local held_until, admitted_at, shadow = match(marker, '^(%d+) (%d+) %d+ ([%d,]*)')
  if tonumber(held_until) > now then return sums_after({ 1, tonumber(admitted_at), shadow }, request) end
end

-- spent + reserved + bound <= limit, for each budget; what was asked in another life of the store is not known
local function check_budgets(request)
  if not request.money then return end
  if request.epoch ~= '*' and request.money.epoch ~= request.epoch then return { 4, now } end
  local exhausted, shadow = '', ''
  for position = 1, request.budget_count do
    local budget, window = request.budgets[position], budget_window(request.money, request.fields[position])
    if window.spent + window.reserved + request.bound > budget.limit then
      if budget.shadow then shadow = shadow .. text_of(1000 + position) .. ',' else exhausted = exhausted .. text_of(position) .. ',' end
    end
  end
  request.shadow_budgets = shadow
  if exhausted ~= '' then return sums_after({ 3, now, exhausted }, request) end
end

-- gives the window that frees last and how long that takes
local function check_windows(request)
  local refusing, longest = nil, -1
  for position = 1, request.count do
    local window, limit, kind = request.windows[position], request.limits[position], request.kinds[position]
    local excess = window.sum + request.amounts[position] - limit
    if limit == 0 or excess > 0 then
      if kind == 'R' or kind == 'T' then
        request.shadow = request.shadow .. text_of(position) .. ','
      elseif limit == 0 then
        -- never fits: named before all others
        return position, 60000
      else
        local wait = wait_for(window, excess)
        if wait > longest then refusing, longest = position, wait end
      end
    end
  end
  return refusing, longest
end

local function slots_are_full(request)
  if request.slot_limit < 0 or call('ZCOUNT', request.slots, '(' .. text_of(now), '+inf') < request.slot_limit then return false end
  if not request.slots_shadow then return true end
  request.shadow = request.shadow .. '0,'
  return false
end

-- charges the windows, to be written at the end of the call, and gives the lines of the marker
local function charge_windows(request)
  local lines = {}
  for position = 1, request.count do
    local window, amount, kind = request.windows[position], request.amounts[position], string.lower(request.kinds[position])
    local bucket = charge(window, kind == 't' and request.deadline or request.spent_by, amount)
    if not window.latest then charged[#charged + 1] = window end
    window.latest = max(window.latest or 0, request.deadline)
    lines[position] = '\n' .. text_of(bucket) .. ' ' .. text_of(amount) .. ' ' .. text_of(window.anchor) .. ' ' .. kind .. ' ' .. request.names[position]
  end
  return table.concat(lines)
end

local function take_slot(request)
  if request.slot_limit < 0 then return end
  local lapsed = call('ZRANGEBYSCORE', request.slots, '-inf', text_of(now), 'LIMIT', 0, 16)
  if #lapsed > 0 then call('ZREM', request.slots, unpack(lapsed)) end
  call('ZADD', request.slots, text_of(request.deadline), request.id)
  keep_slots(request.slots, request.hold)
end

-- Check everything, then commit everything: until the first line after the checks nothing has been written for this request.
local function admit_one(request)
  local answer = check_revocations(request) or find_marker(request) or check_budgets(request)
  if answer then return answer end
  local refusing, wait = check_windows(request)
  local full = slots_are_full(request)
  if refusing then return sums_after({ 0, now, refusing, wait }, request) end
  if full then return sums_after({ 0, now, 0, 0 }, request) end
  local lines = charge_windows(request)
  take_slot(request)
  if request.money then
    reserve(request.money, request.id, table.concat(request.fields, ','), request.bound, request.floor, request.deadline)
    request.shadow = request.shadow .. request.shadow_budgets
  end
  call('SET', request.marker, text_of(request.deadline) .. ' ' .. text_of(now) .. ' 0 ' .. request.shadow .. lines, 'PX', text_of(request.hold))
  return sums_after({ 1, now, request.shadow }, request)
end

local known_life = ARGV[#ARGV]
local is_other_life = known_life ~= '' and call('GET', KEYS[#KEYS]) ~= known_life
local answers, cursor = {}, per_window * (tonumber(ARGV[2]) + 1)
while cursor < #ARGV do
  local request, following = read_admission(cursor)
  answers[#answers + 1] = is_other_life and { 5, now } or admit_one(request)
  cursor = following
end
for position = 1, #opened_monies do close_budgets(opened_monies[position]) end
for position = 1, #charged do commit(charged[position], charged[position].latest) end
return answers
