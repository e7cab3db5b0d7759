-- Shared: what a hold is, and how it ends. Needs core.lua.
-- b:{tenant}:h:<id>: st state, a amount, w windows, s scopes, u to charge if the holder dies, c charged, at reserved at

local function load_hold(id, prefix)
  local st, a, w, s, u, c, at = unpack(
    redis.call('HMGET', (prefix or base) .. 'h:' .. id, 'st', 'a', 'w', 's', 'u', 'c', 'at'))
  if st then
    return { st = st, a = tonumber(a), w = w, s = s, u = tonumber(u or '0'), c = tonumber(c or '0'), at = tonumber(at) }
  end
end

local function is_open(hold)
  return hold.st == 'open' or hold.st == 'call' or hold.st == 'stream'
end

-- Ends an open hold: releases it, charges the cost, leaves a tombstone and an entry of the durable record.
local function finish(kind, id, hold, cost, estimated, facts, now)
  post(split(hold.w, ','), split(hold.s, '\31'), cost, -hold.a)
  redis.call('ZREM', base .. 'exp', id)
  redis.call('HSET', base .. 'h:' .. id, 'st', kind, 'c', cost)
  redis.call('PEXPIRE', base .. 'h:' .. id, kind == 'reaped' and LONG_TOMBSTONE_MS or TOMBSTONE_MS)
  record(kind, id, cost, hold.a, hold.w, hold.s, estimated, facts, now)
end

-- Ends holds whose lease has run out. Never dispatched: nothing was bought. A stream: what it had bought by its
-- last renewal and one interval more (`u`). A plain call: the whole hold, because nobody saw what came of it.
local function reap(now, limit)
  local late = redis.call('ZRANGEBYSCORE', base .. 'exp', '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(late) do
    local hold = load_hold(id)
    if not hold or not is_open(hold) then
      redis.call('ZREM', base .. 'exp', id)
    elseif hold.st == 'open' then
      finish('reaped', id, hold, 0, '0', '', now)
    elseif hold.st == 'stream' then
      finish('reaped', id, hold, math.min(hold.u, hold.a), '1', '', now)
    else
      finish('reaped', id, hold, hold.a, '1', '', now)
    end
  end
  return #late
end
