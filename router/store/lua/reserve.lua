-- Needs core.lua, holds.lua, windows.lua.
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
local books = read_books(acct, scopes, now)
local budgets = covering(books)
if known then
  return { 'held', known.w, known.at, budgets }
end

local short = short_of(budgets, wanted)
if short then
  return { 'short', short, now, budgets }
end

hold_money(id, wanted, ARGV[4], ARGV[5], ARGV[6], books, now)
return { 'held', joined(books), now, budgets }
