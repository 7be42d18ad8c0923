-- Adds a member to a set of links. KEYS: links. ARGV: member, life (ms).
-- The score is when it expires, in microseconds, so that of two that are added in one millisecond one is the later.
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', micros))
redis.call('ZADD', KEYS[1], string.format('%.0f', micros + tonumber(ARGV[2]) * 1000), ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.ceil(tonumber(last[2]) / 1000)))
return 1
