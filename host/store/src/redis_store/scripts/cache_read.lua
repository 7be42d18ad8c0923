-- KEYS: entry, lease. ARGV: ticket, length of the lease in ms.
-- An entry begins with the moment (15 digits, ms) until which it is fresh.
-- Returns {0, ms that are left, entry} when it is fresh, {1, 0, stale entry} when the caller has the lease, {2, 0, stale entry} when another has it.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local entry = redis.call('GET', KEYS[1])
if entry then
  local left = tonumber(string.sub(entry, 1, 15)) - now
  if left > 0 then return {0, left, string.sub(entry, 16)} end
end
local stale = entry and string.sub(entry, 16) or ''
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {1, 0, stale} end
return {2, 0, stale}
