-- Needs core.lua, windows.lua.
-- ARGV: frozen clock or '', adjustment id, change in nano-dollars (negative: a refund), scopes, facts
-- Reply: 1, or 0 where an adjustment of this id was booked already
local now = clock(ARGV[1])
local change, scopes = tonumber(ARGV[3]), split(ARGV[4], '\31')
amount(int(math.abs(change)))
local acct = account()
local booked = base .. 'h:' .. ARGV[2]
if redis.call('EXISTS', booked) == 1 then
  return 0
end
local books = read_books(acct, scopes, now)
advance(books, change, 0, now)
redis.call('HSET', booked, 'c', change)
redis.call('PEXPIRE', booked, LONG_TOMBSTONE_MS)
record('adjust', ARGV[2], change, 0, joined(books), ARGV[4], '0', ARGV[5], now)
return 1
