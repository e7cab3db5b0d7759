-- The last trip of a request: the money first, then what may fail alone without a word: the answer, its flight, the receipt,
-- the limits' places. Needs core.lua, holds.lua, settling.lua, flights.lua, receipts.lua, limits.lua.
-- ARGV: frozen clock or '', request id, then
--   settlement: hold or '', cost, estimated 0/1, facts, windows, scopes, reserved at ms
--   answer: key or '', value or '', TTL ms, most entries, leader or '', ms to send followers on their own way
--   receipt: decision or '', packed receipt, seconds to keep, most listed
--   places: the words of the rules
-- Reply: {what happened, nano-dollars} or {}
local now, booked, ending = clock(ARGV[1]), true, {}
if ARGV[3] ~= '' then
  booked, ending = pcall(function()
    local cost = amount(ARGV[4])
    account()
    return { settle(ARGV[3], cost, ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], 'settled', now) }
  end)
end
if ARGV[10] ~= '' then
  local stored = ARGV[11] ~= '' and pcall(put_answer, ARGV[10], ARGV[11], ARGV[12], now, ARGV[13])
  if ARGV[14] ~= '' then
    pcall(land, ARGV[10], ARGV[14], stored, ARGV[15])
  end
end
if ARGV[16] ~= '' then
  pcall(keep_receipt, ARGV[16], ARGV[17], ARGV[18], ARGV[19])
end
if ARGV[20] then
  pcall(give_places, base .. 'rl:', now * 1000, ARGV[2], ARGV, 20)
end
if not booked then
  error(ending)
end
return ending
