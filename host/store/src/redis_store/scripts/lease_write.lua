-- Writes a leased value if the fence is the newest. KEYS: leased. ARGV: fence, then the value, or nothing to remove it.
-- Returns 1, or 0 if the lease was lost.
if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
if ARGV[2] then redis.call('HSET', KEYS[1], 'v', ARGV[2]) else redis.call('HDEL', KEYS[1], 'v') end
return 1
