-- One decision about one limit or several: all or none.
--
-- KEYS      the limits' buckets, in one slot of a cluster, none twice
-- ARGV[i]   limit i: its tag, three numbers of its own, what is asked and how much (see script.rs)
-- ARGV      after those microseconds since 1970 by the caller's clock, or nothing if it is the server's that counts
--
-- Replies with a string, of five numbers for each limit: the time, what it says (of CONSUME 0 is no, of UP_TO and CHARGE it is how
-- much), and what it holds if all say yes. Replies with the number i if key i holds something else than a bucket of limit i. Nothing
-- is written then, nor if one says no.
--
-- All numbers are whole and below 2^53, which doubles hold exactly. What is multiplied is small enough: the limit's numbers are
-- refused otherwise when it is made, and times are clamped first. The quotient of two whole numbers can round up to the next one,
-- so it is checked. There are no functions, since they would be made anew with each call, and hardly a table: on the way of a single
-- limit none, since one costs as much as a command.

local CONSUME, UP_TO, REFUND, CHARGE, TAKE_BACK = 1, 2, 3, 4, 5
local FIXED, FIRST_CALL, SLIDING = 102, 99, 115 -- 'f', 'c', 's'
-- Of what is told of a limit: where the rest begins that only some questions have.
local MORE = 44

local call, unpack, pack = redis.call, struct.unpack, struct.pack
local limits = #KEYS

-- The time is read once: it moves on while a script runs.
local now = ARGV[limits + 1]
if now then
  now = tonumber(now)
else
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end

local reply, waiting, all = nil, nil, true
for i = 1, limits do
  local key, limit = KEYS[i], ARGV[i]
  local stored = call('GET', key)
  local tag, most, rate, bound, ask, amount = unpack('<c10i8i8i8Bi8', limit)
  local kind = string.byte(tag)
  local says, at, second, third, value, ms = 1, now, 0, 0, nil, nil

  if kind ~= FIXED and kind ~= SLIDING and kind ~= FIRST_CALL then
    -- A level that refills steadily, by `rate` each microsecond, from `bound` at the lowest to `most`.
    local level = most
    if stored then
      if #stored ~= 26 then return i end
      local whose, was, since = unpack('<c10i8i8', stored)
      if whose ~= tag then return i end
      level = was
      -- A server whose clock went back waits where it was.
      if since > at then at = since end
      if level < most then
        local elapsed = at - since
        if elapsed > (most - level) / rate then level = most else level = level + elapsed * rate end
      end
      if level > most then level = most end
    end
    local before = level
    if ask == CONSUME then
      if level >= amount then level = level - amount else says = 0 end
    elseif ask == REFUND or ask == TAKE_BACK then
      level = level + amount
      if level > most then level = most end
    elseif ask == CHARGE or ask == UP_TO then
      local unit, least, units, hint, hint_at, ceiling, doubts
      if ask == UP_TO then
        unit, least, units, hint, hint_at, ceiling, doubts = unpack('<i8i8i8i8i8i8i8', limit, MORE)
        -- What the caller knows of it, if the server has forgotten.
        if hint < most and hint_at < at then
          local elapsed = at - hint_at
          if elapsed > (most - hint) / rate then hint = most else hint = hint + elapsed * rate end
        end
        if level > hint then level = hint end
        if level > ceiling then level = ceiling end
        -- A server that was started has lost all or some of what it knew. Only a caller that was told since then of a bucket which is
        -- there knows better: what others took after an earlier word it does not know.
        if doubts == 1 then
          -- The difference of two times in whole seconds: it was started within the second that began so long before this one.
          local up = (string.match(call('INFO', 'server'), 'uptime_in_seconds:(%d+)') or 0) * 1000000 - 1000000
          if not ARGV[limits + 1] then up = up + now % 1000000 end
          local is_known = stored and hint_at >= now - up and hint_at <= now
          if not is_known and up < level / rate then level = math.max(up, 0) * rate end
        end
      end
      local uncharged = level
      if level - amount > bound then
        level = level - amount
      elseif level > bound then
        level = bound
      end
      says = uncharged - level
      if ask == UP_TO then
        says = 0
        if level >= unit then
          says = math.floor(level / unit)
          if says * unit > level then says = says - 1 end
          if says > units then says = units end
          if says < least then says = 0 end
        end
        level = level - says * unit
      end
    end
    second = level
    if level ~= before then
      value = pack('<c10i8i8', tag, level, at)
      ms = (most - level) / (rate * 1000) + (at - now) / 1000
    end
  else
    -- Counts per window: `most` is the limit, `rate` the period, `bound` the largest count.
    local period, start, count, before = rate, now, 0, 0
    if kind ~= FIRST_CALL then
      local number = math.floor(now / period)
      if number * period > now then number = number - 1 end
      start = number * period
    end
    if stored then
      if #stored ~= 34 then return i end
      local whose, stored_start, stored_count, stored_before = unpack('<c10i8i8i8', stored)
      if whose ~= tag then return i end
      local behind = start - stored_start
      if behind <= 0 or kind == FIRST_CALL and behind < period and stored_count > 0 then
        -- A server whose clock went back waits where it was.
        start, count, before = stored_start, stored_count, stored_before
      elseif behind == period and kind == SLIDING then
        before = stored_count
      end
    end
    if start > at then at = start end
    local count_was, before_was = count, before
    local rest = period - (at - start)
    if ask == CONSUME then
      local room = most - count - amount
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
      if amount > bound - count then count = bound else count = count + amount end
      says = count - count_was
    elseif ask == UP_TO then
      local unit, least, units = unpack('<i8i8i8', limit, MORE)
      -- The weight of the window before, rounded up.
      local weight = math.floor(before * rest / period)
      if weight * period > before * rest then weight = weight - 1 end
      if weight * period < before * rest then weight = weight + 1 end
      local available = most - count - weight
      says = 0
      if available >= unit then
        says = math.floor(available / unit)
        if says * unit > available then says = says - 1 end
        if says > units then says = units end
        if says < least then says = 0 end
      end
      count = count + says * unit
    end
    at, second, third = start, count, before
    if count ~= count_was or before ~= before_was then
      value = pack('<c10i8i8i8', tag, start, count, before)
      -- A count weighs in the window after its own, too.
      ms = (start + 2 * period - now) / 1000
    end
  end

  if says == 0 and ask == CONSUME then all = false end
  local answer = pack('<i8i8i8i8i8', now, says, at, second, third)
  reply = reply and reply .. answer or answer
  if value then
    -- A key that is not there is a full bucket: it must not go before it is one.
    ms = string.format('%.0f', math.ceil(ms) + 1)
    if i < limits then
      waiting = { key, value, ms, waiting }
    elseif all then
      call('SET', key, value, 'PX', ms)
    end
  end
end

-- Those before the last one waited for what it says.
while waiting and all do
  call('SET', waiting[1], waiting[2], 'PX', waiting[3])
  waiting = waiting[4]
end
-- Nobody who was asked says no.
return reply or ''
