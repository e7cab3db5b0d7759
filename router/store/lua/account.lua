-- Needs core.lua, rollover.lua, windows.lua.
-- ARGV: frozen clock or '', 'open', generation | 'budget', name, JSON of the budget | 'unbudget', name
-- Reply: 1 where something changed
if ARGV[2] == 'open' then
  if above then
    redis.call('SADD', above .. 'members', string.sub(base, #above + 1, -2))
  end
  if redis.call('EXISTS', KEYS[1]) == 1 then
    return 0
  end
  redis.call('HSET', KEYS[1], 'gen', ARGV[3])
  redis.call('HSET', base .. 'w:t', 's|', '0')
  return 1
end

-- Whether two budgets, flat tables of strings, agree in everything.
local function same(one, other)
  for key, value in pairs(one) do
    if other[key] ~= value then
      return false
    end
  end
  return true
end

-- Changes what is in force, and returns what was, or nil; false where nothing changed.
local function put(acct, name, budget)
  local kept, before = {}, nil
  for _, known in ipairs(acct.budgets and cjson.decode(acct.budgets) or {}) do
    if known.name == name then
      before = known
    else
      kept[#kept + 1] = known
    end
  end
  if budget and before and same(before, budget) and same(budget, before) or not budget and not before then
    return false
  end
  kept[#kept + 1] = budget
  if #kept == 0 then
    redis.call('HDEL', KEYS[1], 'bud')
  else
    redis.call('HSET', KEYS[1], 'bud', cjson.encode(kept))
  end
  return before
end

local function window_of(book, kind)
  for _, window in ipairs(book.live) do
    if window.kind == kind then
      return window
    end
  end
end

local now, acct = clock(ARGV[1]), account()
local budget = ARGV[2] == 'budget' and cjson.decode(ARGV[4]) or nil
if budget then
  amount(budget.limit)
end
-- Windows that have to turn do so by what was agreed until now.
local book = read_book(base, acct, { '' }, now)
local before = put(acct, ARGV[3], budget)
if before == false then
  return 0
end
if before and before.roll and not (budget and budget.roll and budget.window == before.window) then
  local id = window_of(book, before.window).id -- what was carried into it is gone
  redis.call('HDEL', base .. 'w:' .. id, 'r|' .. before.name)
  record_in(base, 'unbudget', before.name, 0, 0, id, before.scope, '0', '', now)
  if not budget then
    return 1
  end
end
local ids, scope = '', ''
if budget and budget.roll then
  local window = window_of(book, budget.window)
  if not window.opened then
    book.acct.budgets = '[]'
    open_with_rest(book, window, now)
  end
  redis.call('HSETNX', base .. 'w:' .. window.id, 'r|' .. budget.name, '0')
  ids, scope = window.id, budget.scope
end
record_in(base, ARGV[2], ARGV[3], 0, 0, ids, scope, '0', ARGV[4] or '', now)
return 1
