-- Needs core.lua, holds.lua, open_holds.lua.
-- Everything that the books hold at one moment, and the entries of the record after a cursor.
-- ARGV: cursor, most entries
-- Reply: {budgets or '', {checkpoint}, {window keys: id, {counters}}, {open holds: id, amount, windows, scopes}, {entries}}
local acct = redis.call('HMGET', KEYS[1], 'bud', 'd', 'm')
local ids, seen = { 't' }, { t = true }
local function note(list)
  for _, id in ipairs(list) do
    if not seen[id] then
      seen[id] = true
      ids[#ids + 1] = id
    end
  end
end
note({ acct[2] or 't', acct[3] or 't' })
local holds = {}
each_hold(function(id, hold)
  holds[#holds + 1] = { id, int(hold.a), hold.w, hold.s }
  note(split(hold.w, ','))
end)
local counters = {}
for _, id in ipairs(ids) do
  counters[#counters + 1] = { id, redis.call('HGETALL', base .. 'w:' .. id) }
end
local entries = redis.call('XRANGE', base .. 'led', '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
return { acct[1] or '', redis.call('HGETALL', base .. 'ckpt'), counters, holds, entries }
