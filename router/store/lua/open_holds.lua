-- Shared by what looks at whole books: every open hold that they count. Needs core.lua, holds.lua.

local function each_hold_of(prefix, visit)
  for _, id in ipairs(redis.call('ZRANGE', prefix .. 'exp', 0, -1)) do
    local hold = load_hold(id, prefix)
    if hold and is_open(hold) then
      visit(id, hold)
    end
  end
end

-- Visits every open hold that these books count: their own, and those of an organisation's tenants as tenant:id.
local function each_hold(visit)
  each_hold_of(base, visit)
  if not above then
    for _, tenant in ipairs(redis.call('SMEMBERS', base .. 'members')) do
      each_hold_of(string.sub(base, 1, -2) .. '@' .. tenant .. ':', function(id, hold)
        hold.s = ''
        visit(tenant .. ':' .. id, hold)
      end)
    end
  end
end
