-- ARGV: frozen clock or '', adjustment id, change in nano-dollars (negative: a refund), scopes, facts
-- Reply: 1, or 0 where an adjustment of this id was booked already
local now = clock(ARGV[1])
local change, scopes = tonumber(ARGV[3]), split(ARGV[4], '\31')
amount(int(math.abs(change)))
local acct = account()
if load_hold(ARGV[2]) then
  return 0
end
local live = windows(now)
local ids = {}
for _, kind in ipairs({ 'd', 'm', 't' }) do
  read(acct, kind, live[kind], scopes)
  if not live[kind].opened then
    open(kind, live[kind], now)
  end
  ids[#ids + 1] = live[kind].id
end
post(ids, scopes, change, 0)
local joined = table.concat(ids, ',')
redis.call('HSET', base .. 'h:' .. ARGV[2], 'st', 'settled', 'a', '0', 'w', joined, 's', ARGV[4], 'c', int(change), 'at', int(now))
redis.call('PEXPIRE', base .. 'h:' .. ARGV[2], TOMBSTONE_MS)
record('adjust', ARGV[2], change, 0, joined, ARGV[4], '0', ARGV[5], now)
return 1
