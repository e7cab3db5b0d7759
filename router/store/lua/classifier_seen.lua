-- KEYS[1]: b:clf, the registry as the gateways know it. ARGV: a sequence that was seen. Replies the highest one.
local known = tonumber(redis.call('HGET', KEYS[1], 'sequence') or '0')
local seen = tonumber(ARGV[1])
if seen > known then
  redis.call('HSET', KEYS[1], 'sequence', ARGV[1])
  return seen
end
return known
