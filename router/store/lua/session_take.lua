-- KEYS[1]: b:{tenant}:ses:name. ARGV: nano-dollars to count as spent, the session's budget, seconds to keep.
-- Reply: 1 where the budget had it. Amounts lie far below 2^53.
local spent = tonumber(redis.call('HGET', KEYS[1], 'sp') or '0')
if spent + tonumber(ARGV[1]) > tonumber(ARGV[2]) then
  return 0
end
redis.call('HINCRBY', KEYS[1], 'sp', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
