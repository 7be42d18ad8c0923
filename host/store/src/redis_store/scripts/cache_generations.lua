-- KEYS: generations. ARGV: version that is known.
if (redis.call('HGET', KEYS[1], 'v') or '0') == ARGV[1] then return false end
return redis.call('HGETALL', KEYS[1])
