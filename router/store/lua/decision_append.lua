-- Needs core.lua, receipts.lua. KEYS[1]: b:{tenant}:acct, only to name the slot.
-- ARGV: decision, packed receipt, seconds to keep, most listed
keep_receipt(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return 1
