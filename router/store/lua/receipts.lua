-- Shared: the list of a tenant's receipts, b:{tenant}:ds, and each receipt by itself.

local function keep_receipt(id, packed, seconds, listed)
  redis.call('SET', base .. 'd:' .. id, packed, 'EX', seconds)
  redis.call('XADD', base .. 'ds', 'MAXLEN', '~', listed, '*', 'd', id)
  redis.call('EXPIRE', base .. 'ds', seconds)
end
