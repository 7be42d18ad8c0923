-- Gives a lock back without writing. KEYS: lock. ARGV: owner.
if redis.call('HGET', KEYS[1], 'o') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
