-- Counts what the cache has saved. KEYS[1]: b:{tenant}:sv:<month>. ARGV: kind, nano-dollars, seconds to keep
redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[1], ARGV[1] .. ':n', 1)
return redis.call('EXPIRE', KEYS[1], ARGV[3])
