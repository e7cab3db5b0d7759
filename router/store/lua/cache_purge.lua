-- KEYS[1]: b:{tenant}:ci. ARGV: how many at most. Reply: how many answers were dropped, with the questions beside them
local base = string.sub(KEYS[1], 1, -3)
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
for index = 1, #popped, 2 do
  redis.call('UNLINK', base .. 'c:' .. popped[index], 'n' .. string.sub(base, 2) .. popped[index])
end
redis.call('INCR', base .. 'cp') -- processes that remember questions see by it that they must forget them
redis.call('PEXPIRE', base .. 'cp', ARGV[2])
return #popped / 2
