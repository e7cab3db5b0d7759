-- KEYS[1]: b:{tenant}:f:<key>. ARGV: who led, '1' where the answer was stored, ms to send followers on their own way
-- Reply: 1 where the flight was this leader's
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '1' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], '', 'PX', ARGV[3])
end
return 1
