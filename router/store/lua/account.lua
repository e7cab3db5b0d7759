-- Needs core.lua.
-- ARGV: 'open', generation | 'budget', name, JSON of the budget | 'unbudget', name
-- Reply: 1 where something changed
if ARGV[1] == 'open' then
  if above then
    redis.call('SADD', above .. 'members', string.sub(base, #above + 1, -2))
  end
  if redis.call('EXISTS', KEYS[1]) == 1 then
    return 0
  end
  redis.call('HSET', KEYS[1], 'gen', ARGV[2])
  redis.call('HSET', base .. 'w:t', 's|', '0', 'h|', '0')
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

local acct = account()
local kept, before = {}, nil
for _, budget in ipairs(acct.budgets and cjson.decode(acct.budgets) or {}) do
  if budget.name == ARGV[2] then
    before = budget
  else
    kept[#kept + 1] = budget
  end
end
if ARGV[1] == 'budget' then
  local budget = cjson.decode(ARGV[3])
  amount(budget.limit)
  if before and same(before, budget) and same(budget, before) then
    return 0
  end
  kept[#kept + 1] = budget
elseif not before then
  return 0
end
if #kept == 0 then
  redis.call('HDEL', KEYS[1], 'bud')
else
  redis.call('HSET', KEYS[1], 'bud', cjson.encode(kept))
end
record_in(base, ARGV[1], ARGV[2], 0, 0, '', '', '0', ARGV[3] or '', clock(''))
return 1
