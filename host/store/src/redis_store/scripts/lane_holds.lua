-- Included before the scripts for a lane that a host holds: whether it still does, as it was given out.
local function holds(ready, id, consumer, times)
  local pending = redis.pcall('XPENDING', ready, 'hosts', id, id, 1, consumer)
  return not pending.err and pending[1] and pending[1][4] == tonumber(times)
end
