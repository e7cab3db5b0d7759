-- KEYS[1]: a record. ARGV: what its writer has read, what it shall be.
-- Of two that change a record at once, the second reads again, rather than undo what the first has done.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
