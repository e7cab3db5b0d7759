-- Needs core.lua, holds.lua.
-- ARGV: frozen clock or '', hold, state or '' to keep it, nano-dollars to charge if the holder dies now, lease ms
-- Reply: 1 where the hold is open, else 0
local now = clock(ARGV[1])
local id, hold = ARGV[2], load_hold(ARGV[2])
account()
if not hold or not is_open(hold) then
  return 0
end
local upto = math.max(amount(ARGV[4]), hold.u)
redis.call('HSET', base .. 'h:' .. id, 'st', ARGV[3] ~= '' and ARGV[3] or hold.st, 'u', upto)
redis.call('ZADD', base .. 'exp', now + ARGV[5], id)
return 1
