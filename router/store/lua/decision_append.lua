-- KEYS[1]: b:{tenant}:ds, the list of receipts. ARGV: decision, packed receipt, seconds to keep, most listed
redis.call('SET', string.sub(KEYS[1], 1, -3) .. 'd:' .. ARGV[1], ARGV[2], 'EX', ARGV[3])
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', 'd', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
