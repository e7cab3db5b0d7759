-- Generic cell rate algorithm (ITU-T I.371): a key holds the theoretical arrival time of the next cell in microseconds.
-- KEYS[1]: b:{tenant}:rl, only to name the slot. ARGV: frozen clock ms or '', request id, then 5 per rule:
-- kind ('rate' or 'many'), key suffix, limit, period or lease in ms, cost
-- Every rule admits or none is charged. Reply: {number of the first rule that refuses or 0,
-- then per rule: limit, remaining, ms until it is full again, ms until this request would pass}
local now
if ARGV[1] ~= '' then
  now = tonumber(ARGV[1]) * 1000
else
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local base = KEYS[1] .. ':'
local reply, writes, refused = { 0 }, {}, 0

local function rate(key, limit, period, cost)
  local cell = period / limit
  local arrival = math.max(tonumber(redis.call('GET', key) or '0'), now)
  local after = arrival + math.min(cost, limit) * cell -- a request above the limit passes when the bucket is full
  local wait = after - period - now
  if wait > 0 then
    return false, math.max(0, math.floor((period - (arrival - now)) / cell)), arrival - now, wait
  end
  after = arrival + cost * cell
  writes[#writes + 1] = function()
    redis.call('SET', key, string.format('%.0f', after), 'PX', string.format('%.0f', math.ceil((after - now) / 1000) + 1))
  end
  return true, math.max(0, math.floor((period - (after - now)) / cell)), after - now, 0
end

local function many(key, limit, lease)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
  local busy = redis.call('ZCARD', key)
  if busy >= limit and not redis.call('ZSCORE', key, ARGV[2]) then
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    return false, 0, tonumber(first[2]) - now, math.min(1000000, tonumber(first[2]) - now)
  end
  writes[#writes + 1] = function()
    redis.call('ZADD', key, string.format('%.0f', now + lease), ARGV[2])
    redis.call('PEXPIRE', key, string.format('%.0f', lease / 1000 + 1000))
  end
  return true, limit - busy - 1, 0, 0
end

for first = 3, #ARGV, 5 do
  local key, limit = base .. ARGV[first + 1], tonumber(ARGV[first + 2])
  local span, cost = tonumber(ARGV[first + 3]) * 1000, tonumber(ARGV[first + 4])
  local passes, remaining, reset, wait
  if ARGV[first] == 'rate' then
    passes, remaining, reset, wait = rate(key, limit, span, cost)
  else
    passes, remaining, reset, wait = many(key, limit, span)
  end
  if not passes and refused == 0 then
    refused = (first + 2) / 5
  end
  for _, number in ipairs({ limit, remaining, math.ceil(reset / 1000), math.ceil(wait / 1000) }) do
    reply[#reply + 1] = number
  end
end

reply[1] = refused
if refused == 0 then
  for _, write in ipairs(writes) do
    write()
  end
end
return reply
