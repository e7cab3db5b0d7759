-- After the request: gives its place back, and books the tokens that it used beyond (or short of) the estimate.
-- KEYS[1]: b:{tenant}:rl. ARGV: frozen clock ms or '', request id, then 5 per rule: kind, key suffix, limit, ms, cost
local now
if ARGV[1] ~= '' then
  now = tonumber(ARGV[1]) * 1000
else
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
for first = 3, #ARGV, 5 do
  local key = KEYS[1] .. ':' .. ARGV[first + 1]
  if ARGV[first] == 'many' then
    redis.call('ZREM', key, ARGV[2])
  else
    local cell = tonumber(ARGV[first + 3]) * 1000 / tonumber(ARGV[first + 2])
    local arrival = math.max(tonumber(redis.call('GET', key) or '0'), now) + tonumber(ARGV[first + 4]) * cell
    if arrival > now then
      redis.call('SET', key, string.format('%.0f', arrival), 'PX', string.format('%.0f', math.ceil((arrival - now) / 1000) + 1))
    else
      redis.call('DEL', key)
    end
  end
end
return 1
