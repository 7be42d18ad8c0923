-- KEYS: values, order. ARGV: key. Returns 1 if there was a value.
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
