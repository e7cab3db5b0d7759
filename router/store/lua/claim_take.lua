-- Needs core.lua. b:{tenant}:idem:<name>: `body` what it stands for, `who` has it under way; the reply lies among the answers.
-- ARGV: frozen clock or '', name, hash of the body, who claims, ms that a claim lasts
-- Reply: {'mine'}, {'open'} while another has it, {'other'} where it stood for another body, {'kept', the reply}
local claim = base .. 'idem:' .. ARGV[2]
local found = redis.call('HMGET', claim, 'body', 'who')
if found[1] and found[1] ~= ARGV[3] then
  return { 'other' }
end
if found[2] then
  return { 'open' }
end
local reply = found[1] and redis.call('GET', base .. 'c:idem-' .. ARGV[2])
if reply then
  return { 'kept', reply }
end
redis.call('HSET', claim, 'body', ARGV[3], 'who', ARGV[4])
redis.call('PEXPIRE', claim, ARGV[5])
return { 'mine' }
