-- KEYS[1]: b:{tenant}:ses:name. ARGV: state ('' leaves it), nano-dollars more or less than was taken, seconds to keep.
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], 'st', ARGV[1])
end
if ARGV[2] ~= '0' then
  redis.call('HINCRBY', KEYS[1], 'sp', ARGV[2])
end
return redis.call('EXPIRE', KEYS[1], ARGV[3])
