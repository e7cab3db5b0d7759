-- KEYS[1]: b:{tenant}:os, the stream of outcomes. ARGV: outcome, digest of what it says, the outcome as JSON, seconds to
-- keep, most kept, and '1' where another content under the same id is refused rather than taken as a change of mind.
-- Replies 1: taken, 0: told before, -1: refused.
local marker = string.sub(KEYS[1], 1, -3) .. 'oi:' .. ARGV[1]
local known = redis.call('GET', marker)
if known == ARGV[2] then
  return 0
end
if known and ARGV[6] == '1' then
  return -1
end
redis.call('SET', marker, ARGV[2], 'EX', ARGV[4])
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], '*', 'o', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
