-- KEYS[1]: b:{tenant}:ci. ARGV: how many at most. Reply: how many answers were dropped
local base = string.sub(KEYS[1], 1, -3) .. 'c:'
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
for index = 1, #popped, 2 do
  redis.call('UNLINK', base .. popped[index])
end
return #popped / 2
