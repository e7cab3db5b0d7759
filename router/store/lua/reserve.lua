-- ARGV: frozen clock or '', hold, amount, lease ms, state (open, call or stream), scopes joined by \31 (the first is '')
-- Reply: {'held', windows, reserved at ms, {budgets before this hold}} or {'short', name, now, {budgets}} or {'ended', state}
local now = clock(ARGV[1])
local id, wanted, scopes = ARGV[2], amount(ARGV[3]), split(ARGV[6], '\31')
local acct = account()

local known = load_hold(id)
if known and not is_open(known) then
  return { 'ended', known.st }
end

reap(now, REAPED_AT_ONCE)
local live = windows(now)
for kind, window in pairs(live) do
  read(acct, kind, window, scopes)
end
local budgets = covering(acct, live, scopes)
if known then
  return { 'held', known.w, int(known.at), describe(budgets) }
end

for _, budget in ipairs(budgets) do
  if budget.spent + budget.held + wanted > budget.limit then
    return { 'short', budget.name, int(now), describe(budgets) }
  end
end

for kind, window in pairs(live) do
  if not window.opened then
    open(kind, window, now)
  end
end
local ids = { live.d.id, live.m.id, live.t.id }
post(ids, scopes, 0, wanted)
redis.call('HSET', base .. 'h:' .. id, 'st', ARGV[5], 'a', int(wanted), 'w', table.concat(ids, ','), 's', ARGV[6], 'at', int(now))
redis.call('ZADD', base .. 'exp', int(now + tonumber(ARGV[4])), id)
return { 'held', table.concat(ids, ','), int(now), describe(budgets) }
