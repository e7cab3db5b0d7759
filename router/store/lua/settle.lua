-- Needs core.lua, holds.lua, settling.lua.
-- ARGV: frozen clock or '', hold, cost, estimated 0/1, facts, windows, scopes, reserved at ms, 'settled' or 'void'
-- Reply: {what happened, nano-dollars that the hold has cost in all}
local cost = amount(ARGV[3])
account()
return { settle(ARGV[2], cost, ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], clock(ARGV[1])) }
