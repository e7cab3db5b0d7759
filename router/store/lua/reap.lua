-- Needs core.lua, holds.lua.
-- ARGV: frozen clock or '', how many at most. Reply: how many holds were ended.
account()
return reap(clock(ARGV[1]), tonumber(ARGV[2]))
