-- Shared: the windows of the calendar in UTC, and the budgets in them. Needs core.lua, rollover.lua.

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

-- The three windows that now lies in; `stop` 0 means that it never ends.
local function windows(now)
  local days = math.floor(now / DAY_MS)
  local year, month, day = civil(days)
  local first = days - day + 1
  return {
    {
      kind = 'd', id = string.format('d:%04d-%02d-%02d', year, month, day), keep = KEEP_DAY_MS,
      start = days * DAY_MS, stop = (days + 1) * DAY_MS,
    },
    {
      kind = 'm', id = string.format('m:%04d-%02d', year, month), keep = KEEP_MONTH_MS,
      start = first * DAY_MS, stop = (first + month_days(year, month)) * DAY_MS,
    },
    { kind = 't', id = 't', start = 0, stop = 0 },
  }
end

-- Reads spent and held of the scopes in one window. A window that the account has opened and that is gone means
-- lost books: fail rather than count from zero. That in all was opened with the account.
local function read(book, window, now)
  window.values = redis.call('HMGET', book.prefix .. 'w:' .. window.id, unpack(book.names))
  window.opened = window.values[1]
  if not window.opened and book.acct[window.kind] == window.id then
    error({ err = 'NOBOOKS the window ' .. window.id .. ' is missing' })
  end
  if book.rolls and not window.opened then
    open_with_rest(book, window, now)
  end
end

local function read_book(prefix, acct, scopes, now)
  local book = { prefix = prefix, acct = acct, scopes = scopes, names = fields_of(scopes), live = windows(now) }
  book.rolls = acct.budgets and string.find(acct.budgets, '"roll"')
  for _, window in ipairs(book.live) do
    read(book, window, now)
  end
  return book
end

-- The tenant's counters now, and its organisation's where it belongs to one: all are checked before any is written.
local function read_books(acct, scopes, now)
  return { read_book(base, acct, scopes, now), above and read_book(above, acct.above, { '' }, now) }
end

-- Books what is spent and held more in books that were just read, and opens the windows that are new.
local function advance(books, spent, held, now)
  for _, book in ipairs(books) do
    for _, window in ipairs(book.live) do
      local key = book.prefix .. 'w:' .. window.id
      write(key, book.names, window.values, spent, held)
      if not window.opened then
        redis.call('PEXPIRE', key, window.stop - now + window.keep)
        redis.call('HSET', book.prefix .. 'acct', window.kind, window.id)
      end
    end
  end
end

local function joined(books)
  local live = books[1].live
  return live[1].id .. ',' .. live[2].id .. ',' .. live[3].id
end

-- Adds the budgets of one set of books that cover any of its scopes.
local function add_covering(found, book)
  local acct, live, scopes = book.acct, book.live, book.scopes
  if not acct.budgets then
    return
  end
  local whose = book.prefix ~= base and '@' .. string.sub(book.prefix, 4, -3)
  for _, budget in ipairs(cjson.decode(acct.budgets)) do
    for index = 1, #scopes do
      if budget.scope == scopes[index] then
        for _, window in ipairs(live) do
          if window.kind == budget.window then
            local spent, held = window.values[2 * index - 1], window.values[2 * index]
            local rolled = budget.roll and redis.call('HGET', book.prefix .. 'w:' .. window.id, 'r|' .. budget.name)
            found[#found + 1] = {
              whose and whose .. ' ' .. budget.name or budget.name, whose or budget.scope, budget.window,
              tonumber(budget.limit) + tonumber(rolled or '0'), tonumber(spent or '0'), tonumber(held or '0'),
              window.start, window.stop, budget.soft or budget.roll and '', rolled or nil,
            }
          end
        end
      end
    end
  end
end

-- The budgets that cover a request: {name, scope, window, limit, spent, held, start, stop} each, and behind them, where
-- there is such a thing, the share that is soft and what rolled over, which is in the limit too. Those of its organisation
-- are named '@organisation name', and have the scope '@organisation'.
local function covering(books)
  local found = {}
  for _, book in ipairs(books) do
    add_covering(found, book)
  end
  return found
end

-- The name of the first budget that has less left than is wanted, or nil.
local function short_of(budgets, wanted)
  for _, budget in ipairs(budgets) do
    if budget[5] + budget[6] + wanted > budget[4] then
      return budget[1]
    end
  end
end

-- Sets money aside in books that were just read, until the lease runs out.
local function hold_money(id, wanted, lease, state, scopes, books, now)
  advance(books, 0, wanted, now)
  redis.call('HSET', base .. 'h:' .. id, 'st', state, 'a', wanted, 'w', joined(books), 's', scopes, 'at', now)
  redis.call('ZADD', base .. 'exp', now + lease, id)
end
