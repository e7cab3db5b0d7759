-- KEYS[1]: b:{tenant}:pace. ARGV: what the writer had read ('' for nothing), what it is now, seconds to keep.
-- Of several processes that took the same step, one writes it.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
