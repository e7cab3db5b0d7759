-- ARGV: frozen clock or '', scopes joined by \31 (the first is '')
-- Reply: {now ms, {budgets}, {day spent, day held, month spent, month held, total spent, total held} of the tenant}
local now = clock(ARGV[1])
local scopes = split(ARGV[2], '\31')
local acct = account()
reap(now, REAPED_AT_ONCE) -- or a policy that sees no money left would never come to reserve, which reaps too
local live = windows(now)
for kind, window in pairs(live) do
  read(acct, kind, window, scopes)
end
local meters = {}
for _, kind in ipairs({ 'd', 'm', 't' }) do
  meters[#meters + 1] = int(live[kind].spent[''])
  meters[#meters + 1] = int(live[kind].held[''])
end
return { int(now), describe(covering(acct, live, scopes)), meters }
