-- Needs core.lua, rollover.lua, windows.lua.
-- Finds the thresholds of a tenant's budgets that spending has reached, each once per window, limit and threshold.
-- b:{tenant}:al: 'window|budget|threshold|limit' -> JSON of the alert; b:{tenant}:alq: the same name -> 'tries|due ms' of a
-- webhook that was not taken yet.
-- ARGV: frozen clock or '', thresholds of budgets that name none, 1 where a request was just refused for want of money,
-- most alerts kept, seconds to keep, first pause between tries in ms or '' without a webhook, most tries
-- Reply: {{JSON of a new alert}...}, {{name, JSON, tries so far} of a webhook that this caller is to send ...}
local now, acct = clock(ARGV[1]), account()
local granted = acct.budgets and cjson.decode(acct.budgets) or {}
local scopes, seen = { '' }, { [''] = true }
for _, budget in ipairs(granted) do
  if not seen[budget.scope] then
    seen[budget.scope] = true
    scopes[#scopes + 1] = budget.scope
  end
end
local book = #granted > 0 and read_book(base, acct, scopes, now)
local rows = book and covering({ book }) or {}
local list, queue, fresh = base .. 'al', base .. 'alq', {}

-- A refusal tells of an exhausted budget where less than a tenth is left: else of a request that was too large.
local refused
if ARGV[3] == '1' then
  for index, row in ipairs(rows) do
    local left = row[4] - row[5] - row[6]
    if left * 10 < row[4] and (not refused or left < refused.left) then
      refused = { index = index, left = left }
    end
  end
end

for index, row in ipairs(rows) do
  local window
  for _, live in ipairs(book.live) do
    window = live.kind == row[3] and live.id or window
  end
  for _, threshold in ipairs(split(granted[index].alerts or ARGV[2], ',')) do
    local share = tonumber(threshold)
    local exhausted = refused and refused.index == index and share == 1
    if share and row[4] > 0 and (row[5] >= share * row[4] or exhausted) then
      local name = window .. '|' .. row[1] .. '|' .. threshold .. '|' .. int(row[4])
      local alert = cjson.encode({
        budget = row[1], scope = row[2], window = window, threshold = threshold, limit = int(row[4]), spent = int(row[5]),
        at = int(now),
      })
      if redis.call('HSETNX', list, name, alert) == 1 then
        fresh[#fresh + 1] = alert
        if ARGV[6] ~= '' then
          redis.call('HSET', queue, name, '0|0')
        end
      end
    end
  end
end

if #fresh > 0 then
  local excess = redis.call('HLEN', list) - tonumber(ARGV[4])
  if excess > 0 then -- the oldest go; those of a window that never ends would be told again
    local kept = {}
    local all = redis.call('HGETALL', list)
    for index = 1, #all, 2 do
      if string.sub(all[index], 1, 2) ~= 't|' then
        kept[#kept + 1] = { name = all[index], at = tonumber(cjson.decode(all[index + 1]).at) }
      end
    end
    table.sort(kept, function(one, other) return one.at < other.at end)
    for index = 1, math.min(excess, #kept) do
      redis.call('HDEL', list, kept[index].name)
    end
  end
  redis.call('EXPIRE', list, ARGV[5])
end

local due = {}
if ARGV[6] ~= '' then
  local waiting = redis.call('HGETALL', queue)
  for index = 1, #waiting, 2 do
    local name, tries, at = waiting[index], string.match(waiting[index + 1], '^(%d+)|(%d+)$')
    if tonumber(at) <= now then
      local alert = redis.call('HGET', list, name)
      if tonumber(tries) >= tonumber(ARGV[7]) or not alert then
        redis.call('HDEL', queue, name)
      else
        due[#due + 1] = { name, alert, tonumber(tries) }
        redis.call('HSET', queue, name, int(tries + 1) .. '|' .. int(now + tonumber(ARGV[6]) * 2 ^ tonumber(tries)))
        redis.call('EXPIRE', queue, ARGV[5])
      end
    end
  end
end
return { fresh, due }
