-- Deletes a conversation. With the lock goes the fence of a turn that is running: its commit is refused.
-- KEYS: lock, queue, meta, then its other keys. Returns 1 if there was a conversation.
local found = redis.call('DEL', KEYS[3])
redis.call('DEL', KEYS[1])
for i = 4, #KEYS do redis.call('DEL', KEYS[i]) end
wake(KEYS[1], KEYS[2])
return found
