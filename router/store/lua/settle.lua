-- Needs core.lua, holds.lua.
-- ARGV: frozen clock or '', hold, cost, estimated 0/1, facts, windows, scopes, reserved at ms, 'settled' or 'void'
-- The last four but one come from the caller's own copy of the hold, for the case that the store has lost it.
-- Reply: {what happened, nano-dollars that the hold has cost in all}
local now = clock(ARGV[1])
local id, cost, kind = ARGV[2], amount(ARGV[3]), ARGV[9]
account()
local hold = load_hold(id)

if hold and is_open(hold) then
  finish(kind, id, hold, cost, ARGV[4], ARGV[5], now)
  return { kind, cost }
end

if hold and (hold.st == 'settled' or kind == 'void') then
  return { 'already', hold.c }
end

if hold then -- reaped or void before its true cost was known: correct what was charged
  post(split(hold.w, ','), split(hold.s, '\31'), cost - hold.c, 0)
  redis.call('HSET', base .. 'h:' .. id, 'st', 'settled', 'c', int(cost))
  redis.call('PEXPIRE', base .. 'h:' .. id, TOMBSTONE_MS)
  record('late', id, cost - hold.c, 0, hold.w, hold.s, ARGV[4], ARGV[5], now)
  return { 'late', cost }
end

-- Unknown. Older than a tombstone: it was ended, and charged, long ago. Younger: the store lost it, so charge.
if kind == 'void' or now - tonumber(ARGV[8]) > TOMBSTONE_MS then
  return { 'forgotten', 0 }
end
post(split(ARGV[6], ','), split(ARGV[7], '\31'), cost, 0)
redis.call('HSET', base .. 'h:' .. id, 'st', 'settled', 'a', '0', 'w', ARGV[6], 's', ARGV[7], 'c', int(cost), 'at', ARGV[8])
redis.call('PEXPIRE', base .. 'h:' .. id, TOMBSTONE_MS)
record('late', id, cost, 0, ARGV[6], ARGV[7], ARGV[4], ARGV[5], now)
return { 'late', cost }
