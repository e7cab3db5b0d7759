-- Keeps a question beside its answer, for as long. Needs core.lua. KEYS[1]: b:{tenant}:acct, only to name the slot.
-- ARGV: key of the answer, group, vector, words. Reply: 1, or 0 where there is no such answer (any more)
local answer = base .. 'c:' .. ARGV[1]
if redis.call('EXISTS', answer) == 0 then
  return 0
end
local name = 'n' .. string.sub(base, 2) .. ARGV[1]
redis.call('HSET', name, 'g', ARGV[2], 'v', ARGV[3], 'm', ARGV[4])
redis.call('PEXPIREAT', name, redis.call('PEXPIRETIME', answer))
return 1
