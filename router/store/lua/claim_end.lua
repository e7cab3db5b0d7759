-- Needs core.lua, flights.lua. ARGV: frozen clock or '', name, who claimed it, the reply or '' to give the claim up, ms to
-- keep it, most answers of a tenant
-- Reply: 1, or 0 where somebody else has it by now
local claim = base .. 'idem:' .. ARGV[2]
if redis.call('HGET', claim, 'who') ~= ARGV[3] then
  return 0
end
if ARGV[4] == '' then
  redis.call('DEL', claim)
  return 1
end
redis.call('HDEL', claim, 'who')
redis.call('PEXPIRE', claim, ARGV[5])
put_answer('idem-' .. ARGV[2], ARGV[4], ARGV[5], clock(ARGV[1]), ARGV[6])
return 1
