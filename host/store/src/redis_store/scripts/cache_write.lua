-- KEYS: entry, lease. ARGV: entry, ms for which it is fresh, ms for which it is kept.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('SET', KEYS[1], string.format('%015.0f', now + tonumber(ARGV[2])) .. ARGV[1], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
