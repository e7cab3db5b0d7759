-- KEYS[1]: a lease. ARGV: who wants it, for how many seconds. Its holder renews it.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
