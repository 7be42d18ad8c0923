-- Deletes a bounded log. KEYS: log, names. ARGV: name.
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
