-- One step of a counter. KEYS: counter. ARGV: how much, ms for which it is kept.
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return count
