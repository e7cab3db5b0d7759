-- Needs core.lua, flights.lua. KEYS[1]: b:{tenant}:acct, only to name the slot. ARGV: key, who asks, lease ms
-- Reply: {'hit', answer}, {'lead'}, {'follow'} or {'alone'}
return { look(ARGV[1], ARGV[2], ARGV[3]) }
