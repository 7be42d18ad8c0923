-- Takes the lease of a value. KEYS: leased. ARGV: owner, hold (ms), 1 to take it from whoever has it.
-- Returns the fence, or 0 while another owner holds it.
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
local lease = redis.call('HMGET', KEYS[1], 'f', 'o', 'u')
-- The same request again: its first answer was lost with the connection.
if lease[2] == ARGV[1] then return tonumber(lease[1]) end
if ARGV[3] ~= '1' and (tonumber(lease[3]) or 0) > now then return 0 end
local fence = math.max(micros, (tonumber(lease[1]) or 0) + 1)
redis.call('HSET', KEYS[1], 'f', string.format('%.0f', fence), 'o', ARGV[1], 'u', string.format('%.0f', now + tonumber(ARGV[2])))
return fence
