-- Shared: how a hold is charged, once. Needs core.lua, holds.lua.
-- Windows, scopes and time of reservation come from the caller's own copy of the hold, for the case that the store has
-- lost it. Returns what happened, and the nano-dollars that the hold has cost in all.
local function settle(id, cost, estimated, facts, ids, scopes, reserved_at, kind, now)
  local hold = load_hold(id)

  if hold and is_open(hold) then
    finish(kind, id, hold, cost, estimated, facts, now)
    return kind, cost
  end

  if hold and (hold.st == 'settled' or kind == 'void') then
    return 'already', hold.c
  end

  if hold then -- reaped or void before its true cost was known: correct what was charged
    post(split(hold.w, ','), split(hold.s, '\31'), cost - hold.c, 0)
    redis.call('HSET', base .. 'h:' .. id, 'st', 'settled', 'c', cost)
    redis.call('PEXPIRE', base .. 'h:' .. id, TOMBSTONE_MS)
    record('late', id, cost - hold.c, 0, hold.w, hold.s, estimated, facts, now)
    return 'late', cost
  end

  -- Unknown. Older than a tombstone: it was ended, and charged, long ago. Younger: the store lost it, so charge.
  if kind == 'void' or now - tonumber(reserved_at) > TOMBSTONE_MS then
    return 'forgotten', 0
  end
  post(split(ids, ','), split(scopes, '\31'), cost, 0)
  redis.call('HSET', base .. 'h:' .. id, 'st', 'settled', 'a', '0', 'w', ids, 's', scopes, 'c', cost, 'at', reserved_at)
  redis.call('PEXPIRE', base .. 'h:' .. id, TOMBSTONE_MS)
  record('late', id, cost, 0, ids, scopes, estimated, facts, now)
  return 'late', cost
end
