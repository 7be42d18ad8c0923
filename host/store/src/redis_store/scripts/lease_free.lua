-- Gives a lease back. KEYS: leased. ARGV: fence.
-- The fence grows, so that who gave it back writes no more; where there is no value, the server's clock keeps the next larger.
if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
if redis.call('HEXISTS', KEYS[1], 'v') == 0 then return redis.call('DEL', KEYS[1]) end
redis.call('HINCRBY', KEYS[1], 'f', 1)
return redis.call('HDEL', KEYS[1], 'o', 'u')
