-- Needs core.lua, flights.lua. KEYS[1]: b:{tenant}:acct, only to name the slot. ARGV: key, value, TTL ms, most entries
put_answer(ARGV[1], ARGV[2], ARGV[3], clock(''), ARGV[4])
return 1
