-- Needs core.lua, holds.lua, windows.lua.
-- ARGV: frozen clock or '', scopes joined by \31 (the first is '')
-- Reply: {now ms, {budgets}, {day spent, day held, month spent, month held, total spent, total held} of the tenant}
local now = clock(ARGV[1])
local acct = account()
reap(now, REAPED_AT_ONCE) -- or a policy that sees no money left would never come to reserve, which reaps too
local scopes = split(ARGV[2], '\31')
local books, meters = read_books(acct, scopes, now), {}
for _, window in ipairs(books[1].live) do
  meters[#meters + 1] = tonumber(window.values[1] or '0')
  meters[#meters + 1] = tonumber(window.values[2] or '0')
end
return { now, covering(books), meters }
