-- Shared: what is left of a window goes on into the next. Needs core.lua, and is needed by windows.lua.
-- A budget with `roll` (the share that is kept) and, where it has one, `cap` (the most in nano-dollars) has in each window of
-- its kind the field r|name: what was carried into it. It is fixed when the window opens, and stands in the record.

-- Opens a window of books in which budgets roll over. Its helpers are made when it runs: once a window, not once a request.
local function open_with_rest(book, window, now)
  -- Days since a day that is always the same one (H. Hinnant, "chrono-compatible low-level date algorithms",
  -- days_from_civil without its last constants, for only differences are wanted).
  local function days_of(year, month, day)
    local y = month <= 2 and year - 1 or year
    local era = math.floor(y / 400)
    local yoe = y - era * 400
    local doy = math.floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5) + day
    return era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy
  end

  -- How many windows lie between two ids of one kind, the later one included.
  local function windows_since(before, id)
    local place = {}
    for index, name in ipairs({ before, id }) do
      local year, month, day = string.match(name, '(%d+)-(%d+)-?(%d*)')
      place[index] = day ~= '' and days_of(tonumber(year), tonumber(month), tonumber(day)) or year * 12 + month
    end
    return place[2] - place[1]
  end

  -- What goes on of a rest, which may be below 0 after an overshoot.
  local function kept_of(budget, rest)
    local most = LARGEST - tonumber(budget.limit)
    return math.min(math.floor(math.max(0, rest) * tonumber(budget.roll)), tonumber(budget.cap or LARGEST), most)
  end

  -- Sets r|name in a window that opens. What is still held in the old one counts as spent. A window in which the budget did
  -- not roll over gives nothing; windows that nobody opened were spent nothing of.
  local function carry(book, budget, before, id, now)
    local rolled, skipped = 0, before and windows_since(before, id) or 0
    if skipped > 0 then
      local scope = budget.scope
      local old = redis.call('HMGET', book.prefix .. 'w:' .. before, 's|' .. scope, 'h|' .. scope, 'r|' .. budget.name)
      if old[3] then
        local limit = tonumber(budget.limit)
        rolled = kept_of(budget, limit + old[3] - tonumber(old[1] or '0') - tonumber(old[2] or '0'))
        for _ = 2, skipped do
          local next = kept_of(budget, limit + rolled)
          if next == rolled then
            break
          end
          rolled = next
        end
        if rolled > 0 then
          local facts = cjson.encode({
            from = before, windows = int(skipped), limit = budget.limit, rolled = old[3], spent = old[1] or '0',
            held = old[2] or '0', roll = budget.roll, cap = budget.cap,
          })
          record_in(book.prefix, 'roll', budget.name, 0, rolled, id, scope, '0', facts, now)
        end
      end
    end
    redis.call('HSET', book.prefix .. 'w:' .. id, 'r|' .. budget.name, int(rolled))
  end

  local key, before = book.prefix .. 'w:' .. window.id, book.acct[window.kind]
  for _, budget in ipairs(cjson.decode(book.acct.budgets)) do
    if budget.roll and budget.window == window.kind then
      carry(book, budget, before, window.id, now)
    end
  end
  redis.call('HSET', key, 's|', '0')
  redis.call('PEXPIRE', key, int(window.stop - now + window.keep))
  redis.call('HSET', book.prefix .. 'acct', window.kind, window.id)
  window.opened = true
end
