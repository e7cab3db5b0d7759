-- Needs core.lua, limits.lua. KEYS[1]: b:{tenant}:acct, only to name the slot.
-- ARGV: frozen clock ms or '', request id, then the words of the rules
give_places(base .. 'rl:', clock(ARGV[1]) * 1000, ARGV[2], ARGV, 3)
