-- Needs core.lua.
-- Writes counters that were computed from the record. Refused while the account is open: nothing may move meanwhile.
-- ARGV: generation, budgets' JSON or '', then per counter: window, field, value
if redis.call('HEXISTS', KEYS[1], 'gen') == 1 then
  error({ err = 'OPENBOOKS close the account before restoring it' })
end
if above then
  redis.call('SADD', above .. 'members', string.sub(base, #above + 1, -2))
end
redis.call('DEL', base .. 'w:t')
redis.call('HSET', base .. 'w:t', 's|', '0')
local fresh = {}
for first = 3, #ARGV, 3 do
  local id = ARGV[first]
  local key = base .. 'w:' .. id
  if id ~= 't' and not fresh[id] then
    fresh[id] = true
    redis.call('DEL', key)
    redis.call('HSET', key, 's|', '0')
    redis.call('PEXPIRE', key, int(string.sub(id, 1, 1) == 'm' and KEEP_MONTH_MS or KEEP_DAY_MS))
  end
  redis.call('HSET', key, ARGV[first + 1], ARGV[first + 2])
end
redis.call('HDEL', KEYS[1], 'd', 'm')
local last = {} -- the windows that were opened last, from which the next ones are carried on
for id in pairs(fresh) do
  local kind = string.sub(id, 1, 1)
  if not last[kind] or id > last[kind] then
    last[kind] = id
    redis.call('HSET', KEYS[1], kind, id)
  end
end
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'bud', ARGV[2])
end
redis.call('HSET', KEYS[1], 'gen', ARGV[1])
