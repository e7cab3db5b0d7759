-- KEYS[1]: b:{tenant}:log. ARGV: table, the cursor that the writer had read, where its part shall end.
-- Replies the cursor and the end of the part that is to be written: of writers that differ, one decides.
local at = redis.call('HGET', KEYS[1], ARGV[1]) or '0-0'
if at == ARGV[2] then
  redis.call('HSETNX', KEYS[1], ARGV[1] .. '>', ARGV[3])
end
return {at, redis.call('HGET', KEYS[1], ARGV[1] .. '>') or ''}
