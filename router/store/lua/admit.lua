-- The first trip of a request: the limits, an answer that is there already, the tenant's money, and the hold where one
-- is asked for. Needs core.lua, holds.lua, windows.lua, limits.lua, flights.lua.
-- ARGV: frozen clock or '', request id, scopes joined by \31 (the first is ''), answer key or '', lease ms of a flight or ''
-- to start none, nano-dollars to hold or '', lease ms, state, then the words of the rules
-- Reply: {now ms, {budgets before this hold}, {pacing state, its organisation's}, {limits' reply}, {role, answer},
-- windows of the hold or ''}
local now = clock(ARGV[1])
local id = ARGV[2]
local acct = account()
reap(now, REAPED_AT_ONCE) -- or a policy that sees no money left would never come to reserve, which reaps too

local scopes = split(ARGV[3], '\31')
local books, held = read_books(acct, scopes, now), ''
local budgets = covering(books)
local pace = { redis.call('GET', base .. 'pace') or '', above and (redis.call('GET', above .. 'pace') or '') }

local verdict = ARGV[9] and take_places(base .. 'rl:', now * 1000, id, ARGV, 9) or { 0 }
if verdict[1] ~= 0 then
  return { now, budgets, pace, verdict, { 'alone' }, held }
end

local role, answer = 'alone', nil
if ARGV[4] ~= '' then
  role, answer = look(ARGV[4], id, ARGV[5])
end
if ARGV[6] ~= '' and (role == 'lead' or role == 'alone') then
  local wanted = amount(ARGV[6])
  if not short_of(budgets, wanted) then
    hold_money(id, wanted, ARGV[7], ARGV[8], ARGV[3], books, now)
    held = joined(books)
  end
end
return { now, budgets, pace, verdict, { role, answer }, held }
