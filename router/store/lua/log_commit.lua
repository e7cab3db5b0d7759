-- KEYS[1]: b:{tenant}:log. ARGV: table, the cursor before the part, its end. Once for each part.
local at = redis.call('HGET', KEYS[1], ARGV[1]) or '0-0'
if at ~= ARGV[2] or redis.call('HGET', KEYS[1], ARGV[1] .. '>') ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HDEL', KEYS[1], ARGV[1] .. '>')
return 1
