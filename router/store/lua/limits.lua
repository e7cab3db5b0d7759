-- Shared: the limits of a request, all of them taken or none. Generic cell rate algorithm (ITU-T I.371): a key holds the
-- theoretical arrival time of the next cell in microseconds; places among the concurrent ones are leases in a sorted set.
-- Five words per rule from `first` on: kind ('rate' or 'many'), key suffix, limit, period or lease in ms, cost.

local function micros(number)
  return string.format('%.0f', number)
end

-- When the next cell of a key arrives. The key holds arrival:written, so that a clock that was set back since (a failover
-- to another server) takes the arrival back with it, instead of making everybody wait for as long.
local function arrival_of(key, now)
  local arrival, written = string.match(redis.call('GET', key) or '', '^(%d+):(%d+)$')
  return arrival and math.max(arrival - math.max(0, written - now), now) or now
end

local function keep_arrival(key, now, arrival)
  redis.call('SET', key, micros(arrival) .. ':' .. micros(now), 'PX', micros(math.ceil((arrival - now) / 1000) + 1))
end

local function rate(key, now, limit, period, cost, writes)
  local cell = period / limit
  local arrival = arrival_of(key, now)
  local after = arrival + math.min(cost, limit) * cell -- a request above the limit passes when the bucket is full
  local wait = after - period - now
  if wait > 0 then
    return false, math.max(0, math.floor((period - (arrival - now)) / cell)), arrival - now, wait
  end
  after = arrival + cost * cell
  writes[#writes + 1] = function()
    keep_arrival(key, now, after)
  end
  return true, math.max(0, math.floor((period - (after - now)) / cell)), after - now, 0
end

local function many(key, now, limit, lease, who, writes)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', micros(now))
  local busy = redis.call('ZCARD', key)
  if busy >= limit and not redis.call('ZSCORE', key, who) then
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    return false, 0, tonumber(first[2]) - now, math.min(1000000, tonumber(first[2]) - now)
  end
  writes[#writes + 1] = function()
    redis.call('ZADD', key, micros(now + lease), who)
    redis.call('PEXPIRE', key, micros(lease / 1000 + 1000))
  end
  return true, limit - busy - 1, 0, 0
end

-- {number of the first rule that refuses or 0, then per rule: limit, remaining, ms until it is full again, ms until this
-- request would pass}
local function take_places(prefix, now, who, words, first)
  local reply, writes = { 0 }, {}
  for at = first, #words, 5 do
    local key, limit, span = prefix .. words[at + 1], tonumber(words[at + 2]), tonumber(words[at + 3]) * 1000
    local passes, remaining, reset, wait
    if words[at] == 'rate' then
      passes, remaining, reset, wait = rate(key, now, limit, span, tonumber(words[at + 4]), writes)
    else
      passes, remaining, reset, wait = many(key, now, limit, span, who, writes)
    end
    if not passes and reply[1] == 0 then
      reply[1] = (at - first + 5) / 5
    end
    for _, number in ipairs({ limit, remaining, math.ceil(reset / 1000), math.ceil(wait / 1000) }) do
      reply[#reply + 1] = number
    end
  end
  if reply[1] == 0 then
    for _, write_place in ipairs(writes) do
      write_place()
    end
  end
  return reply
end

-- After the request: gives its places back, and books the tokens that it used beyond (or short of) the estimate.
local function give_places(prefix, now, who, words, first)
  for at = first, #words, 5 do
    local key = prefix .. words[at + 1]
    if words[at] == 'many' then
      redis.call('ZREM', key, who)
    else
      local cell = tonumber(words[at + 3]) * 1000 / tonumber(words[at + 2])
      keep_arrival(key, now, math.max(now, arrival_of(key, now) + tonumber(words[at + 4]) * cell))
    end
  end
end
