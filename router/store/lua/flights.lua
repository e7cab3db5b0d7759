-- Shared: answers and the flights that bring them. b:{tenant}:c:<key> holds an answer, b:{tenant}:f:<key> who calls for it.

-- What there is to do about an answer: 'hit' and the answer, 'lead', 'follow' or 'alone'. A cache that fails is a miss.
local function look(key, who, lease)
  local answer = redis.pcall('GET', base .. 'c:' .. key)
  if type(answer) == 'string' then
    return 'hit', answer
  end
  if lease == '' then
    return 'alone'
  end
  local flight = base .. 'f:' .. key
  local leader = redis.call('GET', flight)
  if leader == '' then
    return 'alone'
  end
  if leader and leader ~= who then
    return 'follow'
  end
  redis.call('SET', flight, who, 'PX', lease)
  return 'lead'
end

-- Ends the flight of its leader, after the answer was stored or without one: then followers go their own way for a while.
local function land(key, who, stored, apart)
  local flight = base .. 'f:' .. key
  if redis.call('GET', flight) ~= who then
    return 0
  end
  if stored then
    redis.call('DEL', flight)
  else
    redis.call('SET', flight, '', 'PX', apart)
  end
  return 1
end

-- Stores an answer, and keeps the index of the tenant's answers by expiry within its bound.
local function put_answer(key, value, ttl, now, most)
  local index = base .. 'ci'
  redis.call('SET', base .. 'c:' .. key, value, 'PX', ttl)
  redis.call('ZADD', index, now + ttl, key)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
  local excess = redis.call('ZCARD', index) - tonumber(most)
  if excess > 0 then
    local popped = redis.call('ZPOPMIN', index, math.min(excess, 100))
    for at = 1, #popped, 2 do
      redis.call('UNLINK', base .. 'c:' .. popped[at], 'n' .. string.sub(base, 2) .. popped[at])
    end
  end
  local last = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')
  redis.call('PEXPIREAT', index, last[2] + 1000)
end
