-- Shared by every ledger script: exact integers, the clock, the windows, and how a hold ends.
-- KEYS[1] is always the account, b:{tenant}:acct. All other names derive from it and share its hash tag.
-- Numbers are doubles, exact to 2^53: `int` formats them, because `..` would write 1e+15.

local LARGEST = 9007199254740991
local TOMBSTONE_MS = 3600000 -- how long a repeated settle or void is recognised
local DAY_MS = 86400000
local KEEP_DAY_MS = 100 * DAY_MS -- reports look back a quarter by day
local KEEP_MONTH_MS = 800 * DAY_MS -- and two years by month
local REAPED_AT_ONCE = 8 -- bounds what one reservation may clean up on the way

local base = string.sub(KEYS[1], 1, -5)

local function int(number)
  return string.format('%.0f', number)
end

local function amount(text)
  local number = tonumber(text)
  if not number or number ~= number or number < 0 or number > LARGEST or number % 1 ~= 0 then
    error({ err = 'BADAMOUNT an amount must be an integer of 0..2^53-1 nano-dollars' })
  end
  return number
end

local function clock(frozen)
  if frozen ~= '' then
    return tonumber(frozen)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function split(text, separator)
  local parts = {}
  for part in string.gmatch(text .. separator, '(.-)' .. separator) do
    parts[#parts + 1] = part
  end
  return parts
end

-- Days since 1970 to year, month, day of the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible
-- low-level date algorithms", civil_from_days).
local function civil(days)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return year, month, doy - math.floor((153 * mp + 2) / 5) + 1
end

local function month_days(year, month)
  if month == 2 then
    local leap = (year % 4 == 0 and year % 100 ~= 0) or year % 400 == 0
    return leap and 29 or 28
  end
  return (month == 4 or month == 6 or month == 9 or month == 11) and 30 or 31
end

-- The three windows that now lies in. All are in UTC; `stop` 0 means that it never ends.
local function windows(now)
  local days = math.floor(now / DAY_MS)
  local year, month, day = civil(days)
  local first = days - day + 1
  return {
    d = {
      id = string.format('d:%04d-%02d-%02d', year, month, day),
      start = days * DAY_MS, stop = (days + 1) * DAY_MS, keep = KEEP_DAY_MS,
    },
    m = {
      id = string.format('m:%04d-%02d', year, month),
      start = first * DAY_MS, stop = (first + month_days(year, month)) * DAY_MS, keep = KEEP_MONTH_MS,
    },
    t = { id = 't', start = 0, stop = 0, keep = 0 },
  }
end

local function account()
  local fields = redis.call('HMGET', KEYS[1], 'gen', 'bud', 'd', 'm')
  if not fields[1] then
    error({ err = 'NOBOOKS the account has no generation' })
  end
  return { gen = fields[1], budgets = fields[2] and cjson.decode(fields[2]) or {}, d = fields[3], m = fields[4], t = 't' }
end

-- Reads spent and held of the scopes in one window. A window that the account has opened and that is gone means
-- lost books: fail rather than count from zero.
local function read(acct, kind, window, scopes)
  local names = {}
  for _, scope in ipairs(scopes) do
    names[#names + 1] = 's|' .. scope
    names[#names + 1] = 'h|' .. scope
  end
  local values = redis.call('HMGET', base .. 'w:' .. window.id, unpack(names))
  if not values[1] and acct[kind] == window.id then
    error({ err = 'NOBOOKS the window ' .. window.id .. ' is missing' })
  end
  window.opened = values[1] and true or false
  window.spent, window.held = {}, {}
  for index, scope in ipairs(scopes) do
    window.spent[scope] = tonumber(values[2 * index - 1] or '0')
    window.held[scope] = tonumber(values[2 * index] or '0')
  end
end

local function open(kind, window, now)
  local key = base .. 'w:' .. window.id
  redis.call('HSET', key, 's|', '0', 'h|', '0')
  if window.stop > 0 then
    redis.call('PEXPIRE', key, int(window.stop - now + window.keep))
    redis.call('HSET', KEYS[1], kind, window.id)
  end
end

local function add(key, field, change)
  if change ~= 0 then
    return redis.call('HINCRBY', key, field, int(change))
  end
end

-- Adds to the counters of every scope in the named windows; either amount may be negative. A window that had already
-- expired comes back for a while: spend belongs to the window of its reservation, however late it is known.
local function post(ids, scopes, spent, held)
  for _, id in ipairs(ids) do
    local key = base .. 'w:' .. id
    for _, scope in ipairs(scopes) do
      local holds, spends = add(key, 'h|' .. scope, held), add(key, 's|' .. scope, spent)
      if holds and holds < 0 then
        redis.call('HSET', key, 'h|' .. scope, '0')
      end
      if id ~= 't' and (spends == spent or (holds and holds < 0)) and redis.call('PTTL', key) == -1 then
        redis.call('PEXPIRE', key, int(KEEP_DAY_MS))
      end
    end
  end
end

-- One entry of the durable record, from which the counters can be computed anew.
local function record(kind, id, cost, held, ids, scopes, estimated, facts, now)
  redis.call('XADD', base .. 'led', '*', 'k', kind, 'i', id, 'c', int(cost), 'a', int(held), 'w', ids, 's', scopes,
    'e', estimated, 'f', facts, 't', int(now))
end

-- Ends an open hold: releases it, charges the cost, leaves a tombstone and an entry of the durable record.
local function finish(kind, id, hold, cost, estimated, facts, now)
  post(split(hold.w, ','), split(hold.s, '\31'), cost, -hold.a)
  redis.call('ZREM', base .. 'exp', id)
  redis.call('HSET', base .. 'h:' .. id, 'st', kind, 'c', int(cost))
  redis.call('PEXPIRE', base .. 'h:' .. id, TOMBSTONE_MS)
  record(kind, id, cost, hold.a, hold.w, hold.s, estimated, facts, now)
end

local function load_hold(id)
  local fields = redis.call('HMGET', base .. 'h:' .. id, 'st', 'a', 'w', 's', 'u', 'c', 'at')
  if not fields[1] then
    return nil
  end
  return {
    st = fields[1], a = tonumber(fields[2]), w = fields[3], s = fields[4],
    u = tonumber(fields[5] or '0'), c = tonumber(fields[6] or '0'), at = tonumber(fields[7]),
  }
end

local function is_open(hold)
  return hold.st == 'open' or hold.st == 'call' or hold.st == 'stream'
end

-- Ends holds whose lease has run out. Never dispatched: nothing was bought. A stream: what it had bought by its
-- last renewal and one interval more (`u`). A plain call: the whole hold, because nobody saw what came of it.
local function reap(now, limit)
  local late = redis.call('ZRANGEBYSCORE', base .. 'exp', '-inf', int(now), 'LIMIT', 0, limit)
  for _, id in ipairs(late) do
    local hold = load_hold(id)
    if not hold or not is_open(hold) then
      redis.call('ZREM', base .. 'exp', id)
    elseif hold.st == 'open' then
      finish('reaped', id, hold, 0, '0', '', now)
    elseif hold.st == 'stream' then
      finish('reaped', id, hold, math.min(hold.u, hold.a), '1', '', now)
    else
      finish('reaped', id, hold, hold.a, '1', '', now)
    end
  end
  return #late
end

-- The budgets that cover any of the scopes, each with its window's counters, as flat replies for Python.
local function covering(acct, live, scopes)
  local wanted = {}
  for _, scope in ipairs(scopes) do
    wanted[scope] = true
  end
  local found = {}
  for _, budget in ipairs(acct.budgets) do
    if wanted[budget.scope] then
      local window = live[budget.window]
      found[#found + 1] = {
        name = budget.name, scope = budget.scope, kind = budget.window, limit = tonumber(budget.limit),
        spent = window.spent[budget.scope], held = window.held[budget.scope], start = window.start, stop = window.stop,
      }
    end
  end
  return found
end

local function describe(budgets)
  local reply = {}
  for _, b in ipairs(budgets) do
    reply[#reply + 1] = { b.name, b.scope, b.kind, int(b.limit), int(b.spent), int(b.held), int(b.start), int(b.stop) }
  end
  return reply
end
