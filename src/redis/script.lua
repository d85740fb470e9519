-- One decision about one limit or several: all or none.
--
-- KEYS      the limits' buckets, in one slot of a cluster, none twice
-- ARGV[1]   microseconds since 1970 by the caller's clock, or '' for the server's
-- ARGV[i+1] limit i: its tag, three numbers of its own, what is asked and how much (see script.rs)
--
-- Replies with the time, then four numbers for each limit: what it says (of CONSUME 0 is no, of UP_TO and CHARGE it is how much), and
-- what it holds if all say yes. Replies with {-1, i} if key i holds something else than a bucket of limit i. Nothing is written then,
-- nor if one says no.
--
-- All numbers are whole and below 2^53, which doubles hold exactly. What is multiplied is small enough: the limit's numbers are
-- refused otherwise when it is made, and times are clamped first.

local unpack, pack, floor, ceil = struct.unpack, struct.pack, math.floor, math.ceil
local call, sub = redis.call, string.sub

local CONSUME, UP_TO, REFUND, CHARGE, TAKE_BACK = 1, 2, 3, 4, 5
-- Of a limit's numbers: the tag's length, and where what comes after them begins.
local TAG, LIMIT, MORE = 10, '<c10i8i8i8Bi8', 44
local FIRST_CALL, SLIDING = 99, 115 -- 'c', 's'

-- The time is read once: it moves on while a script runs.
local now = ARGV[1]
if now == '' then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
else
  now = tonumber(now)
end

-- floor(a / b) of whole numbers: the quotient of doubles can round up to one more.
local function divide(a, b)
  local quotient = floor(a / b)
  if quotient * b > a then return quotient - 1 end
  return quotient
end

-- The level at `later`, that was `level` at `at`: never above the capacity, and times are clamped to what fills it.
local function refilled(level, at, later, capacity, rate)
  if level >= capacity then return capacity end
  if later <= at then return level end
  local elapsed, longest = later - at, floor((capacity - level) / rate) + 1
  if elapsed > longest then elapsed = longest end
  level = level + elapsed * rate
  if level > capacity then return capacity end
  return level
end

-- `most` units, or as many as there are; none if fewer than `least`.
local function take_up_to(unit, least, most, available)
  if available < unit then return 0 end
  local units = divide(available, unit)
  if units > most then units = most end
  if units < least then return 0 end
  return units
end

-- A level that refills steadily. Numbers: capacity, refill per microsecond, lowest level.
local function by_level(stored, limit)
  local tag, capacity, rate, lowest, ask, amount = unpack(LIMIT, limit)
  local level, at = capacity, now
  if stored then
    if #stored ~= TAG + 16 or sub(stored, 1, TAG) ~= tag then return nil end
    local since
    level, since = unpack('<i8i8', stored, TAG + 1)
    -- A server whose clock went back waits where it was.
    if since > at then at = since end
    level = refilled(level, since, at, capacity, rate)
  end
  local before, says = level, 1
  if ask == CONSUME then
    if level >= amount then level = level - amount else says = 0 end
  elseif ask == REFUND or ask == TAKE_BACK then
    level = level + amount
    if level > capacity then level = capacity end
  elseif ask == CHARGE or ask == UP_TO then
    local unit, least, most, hint, hint_at, ceiling
    if ask == UP_TO then
      unit, least, most, hint, hint_at, ceiling = unpack('<i8i8i8i8i8i8', limit, MORE)
      -- What the caller knows of it, if the server has forgotten.
      hint = refilled(hint, hint_at, at, capacity, rate)
      if level > hint then level = hint end
      if level > ceiling then level = ceiling end
    end
    local uncharged = level
    if level - amount > lowest then
      level = level - amount
    elseif level > lowest then
      level = lowest
    end
    says = uncharged - level
    if ask == UP_TO then
      says = take_up_to(unit, least, most, level)
      level = level - says * unit
    end
  end
  if level == before then return says, at, level, 0 end
  local value = tag .. pack('<i8i8', level, at)
  return says, at, level, 0, value, (capacity - level) / (rate * 1000) + (at - now) / 1000
end

-- Counts per window. Numbers: limit, period, largest count.
local function by_window(stored, limit)
  local tag, most_allowed, period, largest, ask, amount = unpack(LIMIT, limit)
  local kind = string.byte(tag)
  local start, count, before = now, 0, 0
  if kind ~= FIRST_CALL then start = divide(now, period) * period end
  if stored then
    if #stored ~= TAG + 24 or sub(stored, 1, TAG) ~= tag then return nil end
    local stored_start, stored_count, stored_before = unpack('<i8i8i8', stored, TAG + 1)
    local behind = start - stored_start
    if behind < 0 or behind == 0 or kind == FIRST_CALL and behind < period and stored_count > 0 then
      -- A server whose clock went back waits where it was.
      start, count, before = stored_start, stored_count, stored_before
    elseif behind == period and kind == SLIDING then
      before = stored_count
    end
  end
  local at = now
  if start > at then at = start end
  local count_was, before_was, says = count, before, 1
  local rest = period - (at - start)
  if ask == CONSUME then
    local room = most_allowed - count - amount
    if room >= 0 and (before == 0 or before * rest <= room * period) then
      count = count + amount
    else
      says = 0
    end
  elseif ask == REFUND then
    count = count - amount
    if count < 0 then count = 0 end
  elseif ask == TAKE_BACK then
    -- From the window in which it was taken; of one that does not count any more nothing is owed.
    local taken_in = unpack('<i8', limit, MORE)
    if taken_in == start then
      count = count - amount
      if count < 0 then count = 0 end
    elseif taken_in == start - period and kind == SLIDING then
      before = before - amount
      if before < 0 then before = 0 end
    end
  elseif ask == CHARGE then
    if amount > largest - count then count = largest else count = count + amount end
    says = count - count_was
  elseif ask == UP_TO then
    local unit, least, most = unpack('<i8i8i8', limit, MORE)
    local available = most_allowed - count
    if before > 0 then
      -- The weight of the window before, rounded up.
      local weight = divide(before * rest, period)
      if weight * period < before * rest then weight = weight + 1 end
      available = available - weight
    end
    says = take_up_to(unit, least, most, available)
    count = count + says * unit
  end
  if count == count_was and before == before_was then return says, start, count, before end
  -- A count weighs in the window after its own, too.
  local value = tag .. pack('<i8i8i8', start, count, before)
  return says, start, count, before, value, (start + 2 * period - now) / 1000
end

local reply, writes, all = { now }, {}, true
for i = 1, #KEYS do
  local limit, stored = ARGV[i + 1], call('GET', KEYS[i])
  local kind = string.byte(limit)
  local decide = by_level
  if kind == FIRST_CALL or kind == SLIDING or kind == 102 then decide = by_window end
  local says, a, b, c, value, ms = decide(stored, limit)
  if not says then return { -1, i } end
  if says == 0 and string.byte(limit, TAG + 25) == CONSUME then all = false end
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = says, a, b, c
  if value then
    n = #writes
    writes[n + 1], writes[n + 2], writes[n + 3] = KEYS[i], value, ms
  end
end
if all then
  for i = 1, #writes, 3 do
    -- A key that is not there is a full bucket: it must not go before it is one.
    call('SET', writes[i], writes[i + 1], 'PX', string.format('%.0f', ceil(writes[i + 2]) + 1))
  end
end
return reply
