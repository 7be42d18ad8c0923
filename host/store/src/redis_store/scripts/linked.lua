-- KEYS: links. ARGV: limit. Returns the members that have not expired, those that expire last first.
local time = redis.call('TIME')
return redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. time[1] .. string.format('%06d', tonumber(time[2])), 'LIMIT', 0, ARGV[1])
