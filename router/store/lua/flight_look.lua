-- KEYS[1]: b:{tenant}:f:<key>. ARGV: who asks, lease ms
-- Reply: {'hit', answer}, {'lead'}, {'follow'} or {'alone'}
local answer = redis.call('GET', (string.gsub(KEYS[1], '}:f:', '}:c:', 1)))
if answer then
  return { 'hit', answer }
end
local leader = redis.call('GET', KEYS[1])
if leader == '' then
  return { 'alone' }
end
if leader and leader ~= ARGV[1] then
  return { 'follow' }
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return { 'lead' }
