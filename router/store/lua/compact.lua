-- Needs core.lua, holds.lua, open_holds.lua, windows.lua.
-- Folds the oldest entries of the durable record into its checkpoint, b:{tenant}:ckpt, and drops them.
-- Only windows that still matter are summed: the present ones, the last opened ones, and those of open holds.
-- ARGV: frozen clock or '', entries to keep, most to fold now
-- Reply: how many were folded
local excess = math.min(redis.call('XLEN', base .. 'led') - tonumber(ARGV[2]), tonumber(ARGV[3]))
if excess <= 0 then
  return 0
end
local wanted = { t = true }
for _, window in ipairs(windows(clock(ARGV[1]))) do
  wanted[window.id] = true
end
local opened = account()
wanted[opened.d or 't'], wanted[opened.m or 't'] = true, true
each_hold(function(_, hold)
  for _, window in ipairs(split(hold.w, ',')) do
    wanted[window] = true
  end
end)
local sums, last = {}, nil
-- Budgets and what rolled over, as the folded entries last told them: '=b=name', '=r=window|name'.
local function fold(fields)
  if fields.k == 'roll' then
    redis.call('HSET', base .. 'ckpt', '=r=' .. fields.w .. '|' .. fields.i, fields.a)
  elseif fields.k == 'budget' then
    redis.call('HSET', base .. 'ckpt', '=b=' .. fields.i, fields.f)
  elseif fields.k == 'unbudget' then
    redis.call('HDEL', base .. 'ckpt', '=b=' .. fields.i, '=r=' .. fields.w .. '|' .. fields.i)
  end
end
for _, entry in ipairs(redis.call('XRANGE', base .. 'led', '-', '+', 'COUNT', excess)) do
  local fields = {}
  for index = 1, #entry[2], 2 do
    fields[entry[2][index]] = entry[2][index + 1]
  end
  fold(fields)
  for _, id in ipairs(split(fields.w, ',')) do
    if wanted[id] then
      for _, scope in ipairs(split(fields.s, '\31')) do
        local field = id .. '|' .. scope
        sums[field] = (sums[field] or 0) + tonumber(fields.c)
      end
    end
  end
  last = entry[1]
  redis.call('XDEL', base .. 'led', last)
end
for _, field in ipairs(redis.call('HKEYS', base .. 'ckpt')) do
  local id = string.match(field, '^=r=(.-)|') or string.sub(field, 1, 3) ~= '=b=' and string.match(field, '^(.-)|')
  if id and not wanted[id] then
    redis.call('HDEL', base .. 'ckpt', field)
  end
end
for id in pairs(wanted) do -- a field for each, so that a rebuild knows which windows are complete
  redis.call('HINCRBY', base .. 'ckpt', id .. '|', 0)
end
for field, sum in pairs(sums) do
  redis.call('HINCRBY', base .. 'ckpt', field, int(sum))
end
redis.call('HSET', base .. 'ckpt', 'upto', last)
return excess
