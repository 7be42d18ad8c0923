-- Included before the scripts that free a lock: tells the hosts whose tasks wait for it.
-- The conversation's name is its lock's key without ':lock'.
local function wake(lock, queue)
  if redis.call('EXISTS', queue) == 1 then redis.call('PUBLISH', 'confab:turns', string.sub(lock, 1, -6)) end
end
