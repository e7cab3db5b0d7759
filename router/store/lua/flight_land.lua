-- Needs core.lua, flights.lua. KEYS[1]: b:{tenant}:acct, only to name the slot.
-- ARGV: key, who led, '1' where the answer was stored, ms to send followers on their own way
-- Reply: 1 where the flight was this leader's
return land(ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4])
