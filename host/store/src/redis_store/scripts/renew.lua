-- Keeps a turn lock for another hold time. KEYS: lock. ARGV: fence, hold (ms). Returns 1, or 0 if the lease was lost.
if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local hold = tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'u', string.format('%.0f', now + hold))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', hold + 600000))
return 1
