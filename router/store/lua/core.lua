-- Shared by every ledger script: exact integers, the clock, the account, and the counters of a window.
-- KEYS[1] is always the account, b:{tenant}:acct. All other names derive from it and share its hash tag.
-- Numbers are doubles, exact to 2^53, and so they are stored: an argument of a call is written to 17 digits. `..` knows 14
-- (1e+15), and replies cut fractions off: `int` formats what goes there.
-- The time that a script takes is mostly its calls and formats; hence one HMGET and one HSET per window, not one a field.

local LARGEST = 9007199254740991
local TOMBSTONE_MS = 900000 -- how long a repeated settle or void is recognised; at 100 requests a second, 30 MB
local LONG_TOMBSTONE_MS = 86400000 -- for what is rare and may be corrected late: reaped holds, adjustments
local DAY_MS = 86400000
local KEEP_DAY_MS = 100 * DAY_MS -- reports look back a quarter by day
local KEEP_MONTH_MS = 800 * DAY_MS -- and two years by month
local REAPED_AT_ONCE = 8 -- bounds what one request may clean up on the way

local base = string.sub(KEYS[1], 1, -5)
-- The keys of the organisation that the tenant belongs to, in the same slot (b:{organisation}@tenant:), or nil.
local above = string.match(base, '^(.*})@')
above = above and above .. ':'

local function int(number)
  return string.format('%.0f', number)
end

local function amount(text)
  local number = tonumber(text)
  if not number or number < 0 or number > LARGEST or number % 1 ~= 0 then -- nan % 1 is nan, which is not 0
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
  local parts, from = {}, 1
  while true do
    local at = string.find(text, separator, from, true)
    parts[#parts + 1] = string.sub(text, from, at and at - 1 or -1)
    if not at then
      return parts
    end
    from = at + 1
  end
end

local function account_of(prefix, whose)
  local generation, budgets, day, month = unpack(redis.call('HMGET', prefix .. 'acct', 'gen', 'bud', 'd', 'm'))
  if not generation then
    error({ err = 'NOBOOKS ' .. whose .. ' has no generation' })
  end
  return { budgets = budgets, d = day, m = month, t = 't' }
end

-- The tenant's account, with that of its organisation: nothing moves while either is closed.
local function account()
  local acct = account_of(base, 'the account')
  acct.above = above and account_of(above, "the organisation's account")
  return acct
end

-- The fields of the scopes in a window's hash: spent and held of the first, of the second, ...
local function fields_of(scopes)
  local names = {}
  for index = 1, #scopes do
    names[2 * index - 1] = 's|' .. scopes[index]
    names[2 * index] = 'h|' .. scopes[index]
  end
  return names
end

-- Writes counters (in the order of `names`), each changed by what is spent and held more.
local function write(key, names, values, spent, held)
  local words = {}
  for index = 1, #names, 2 do
    words[2 * index - 1], words[2 * index] = names[index], (values[index] or 0) + spent
    words[2 * index + 1] = names[index + 1]
    words[2 * index + 2] = math.max(0, (values[index + 1] or 0) + held)
  end
  redis.call('HSET', key, unpack(words))
end

-- Adds to the counters of every scope in the named windows; either amount may be negative. A window that had already
-- expired comes back for a while: spend belongs to the window of its reservation, however late it is known.
local function post_to(prefix, ids, scopes, spent, held)
  local names = fields_of(scopes)
  for _, id in ipairs(ids) do
    local key = prefix .. 'w:' .. id
    local values = redis.call('HMGET', key, unpack(names))
    write(key, names, values, spent, held)
    if not values[1] and id ~= 't' then
      redis.call('PEXPIRE', key, KEEP_DAY_MS)
    end
  end
end

-- The same in the tenant's books and in its organisation's, where only the whole is counted.
local function post(ids, scopes, spent, held)
  post_to(base, ids, scopes, spent, held)
  if above then
    post_to(above, ids, { '' }, spent, held)
  end
end

-- One entry of a durable record, from which the counters can be computed anew.
local function record_in(prefix, kind, id, cost, held, ids, scopes, estimated, facts, now)
  redis.call('XADD', prefix .. 'led', '*', 'k', kind, 'i', id, 'c', cost, 'a', held, 'w', ids, 's', scopes,
    'e', estimated, 'f', facts, 't', now)
end

-- What moved money stands in both records; the organisation's says whose it was: tenant:id.
local function record(kind, id, cost, held, ids, scopes, estimated, facts, now)
  record_in(base, kind, id, cost, held, ids, scopes, estimated, facts, now)
  if above then
    local whose = string.sub(base, #above + 1, -2)
    record_in(above, kind, whose .. ':' .. id, cost, held, ids, '', estimated, facts, now)
  end
end
