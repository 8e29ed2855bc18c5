-- What happens to an admitted request afterwards: `settle` (also a release: no tokens, the request given back) and `renew`.
-- The marker of the admission is what makes it idempotent: settling removes it, and without it nothing happens.
-- Money has a marker of its own, its reservation (budget.lua).
-- KEYS: marker of the request, slots of the key, one hash per window; then, where it has money or an event, usage, and with money: budgets, held, until, due.
-- ARGV: time or '', request id, operation, true tokens so far, '1' to give the request back, hold in ms, how many windows, true cost so far or '' without money, key id,
--       usage event or ''; then three per window: name, width, k
-- Gives, with money, field and spend of each window of a budget that changed.
local id, renewing, tokens, give_back, hold = ARGV[2], ARGV[3] == 'renew', tonumber(ARGV[4]), ARGV[5] == '1', tonumber(ARGV[6])
local first_window, per_window, window_count = 11, 3, tonumber(ARGV[7])
local now = clock()

local function settle_windows()
  local marker = call('GET', KEYS[1])
  if not renewing then
    call('ZREM', KEYS[2], id)
    if marker then call('DEL', KEYS[1]) end
  end
  if not marker then return 0 end
  local held_until, admitted_at, booked, shadow = match(marker, '^(%d+) (%d+) (%d+) ([%d,]*)')
  -- past its deadline the reservation has become used tokens by itself
  if tonumber(held_until) <= now then return 0 end
  booked = tonumber(booked)

  local deadline = now + hold
  local flowed = max(0, tokens - booked)
  local declared = {}
  for position = 1, window_count do declared[ARGV[first_window + (position - 1) * per_window]] = position end

  -- gives what is still reserved and where
  local function book(window, bucket, amount, anchor)
    refund(window, bucket, anchor, amount)
    charge(window, now, flowed)
    local left = renewing and max(0, amount - flowed) or 0
    if renewing then bucket = charge(window, deadline, left) end
    commit(window, renewing and deadline or now)
    return bucket, left
  end

  local lines = { format('%.0f %s %.0f ', deadline, admitted_at, booked + flowed) .. shadow }
  for line in string.gmatch(marker, '\n([^\n]+)') do
    local bucket, amount, anchor, kind, name = match(line, '^(%d+) (%d+) (%d+) (%l) (.*)$')
    local position = declared[name]
    local touched = position and (kind == 't' or (give_back and not renewing))
    if touched then
      local base = first_window + (position - 1) * per_window
      local window = open(KEYS[position + 2], tonumber(ARGV[base + 1]), tonumber(ARGV[base + 2]), now, renewing and deadline or now)
      if kind == 't' then
        local held_in, left = book(window, tonumber(bucket), tonumber(amount), tonumber(anchor))
        line = format('%.0f %.0f %.0f t %s', held_in, left, window.anchor, name)
      else
        refund(window, tonumber(bucket), tonumber(anchor), tonumber(amount))
        commit(window, now)
      end
    end
    lines[#lines + 1] = line
  end
  if renewing then
    call('SET', KEYS[1], table.concat(lines, '\n'), 'PX', ARGV[6])
    if call('ZSCORE', KEYS[2], id) then
      call('ZADD', KEYS[2], format('%.0f', deadline), id)
      keep_slots(KEYS[2], hold)
    end
  end
  return 1
end

settle_windows()
local usage, told = KEYS[window_count + 3], {}
if ARGV[8] ~= '' then
  local keys = { hash = KEYS[window_count + 4], held = KEYS[window_count + 5], till = KEYS[window_count + 6], due = KEYS[window_count + 7], usage = usage }
  local money, cost = open_budgets(keys, ARGV[9], now, {}), tonumber(ARGV[8])
  if renewing then renew_money(money, id, cost, hold) else settle_money(money, id, give_back and 0 or cost) end
  told = close_budgets(money)
end
if ARGV[10] ~= '' then add_event(usage, ARGV[10]) end
return told
