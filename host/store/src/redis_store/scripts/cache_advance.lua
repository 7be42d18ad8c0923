-- KEYS: generations. ARGV: ms for which they are kept, then buckets.
-- A generation is a time in microseconds, or one more than the last if that is not greater: what is forgotten never comes again.
local time = redis.call('TIME')
local newest = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = tonumber(redis.call('HGET', KEYS[1], 'v') or '0')
if newest <= last then newest = last + 1 end
local text = string.format('%.0f', newest)
for i = 2, #ARGV do redis.call('HSET', KEYS[1], ARGV[i], text) end
redis.call('HSET', KEYS[1], 'v', text)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return text
