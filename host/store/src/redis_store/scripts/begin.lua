-- Takes a conversation's turn lock and reads its state.
-- KEYS: lock, meta. ARGV: owner, hold (ms).
-- Returns {fence, head or nil, turns, 0}, or {0, nil, 0, ms left} while another owner holds the lock.
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
local lock = redis.call('HMGET', KEYS[1], 'f', 'o', 'u')
local meta = redis.call('HMGET', KEYS[2], 'h', 'n', 'f')
local fence
if lock[2] == ARGV[1] then
  -- The same request again: its first answer was lost with the connection.
  fence = tonumber(lock[1])
else
  local left = (tonumber(lock[3]) or 0) - now
  if left > 0 then return {0, false, 0, left} end
  fence = math.max(micros, (tonumber(lock[1]) or 0) + 1, (tonumber(meta[3]) or 0) + 1)
end
local hold = tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'f', string.format('%.0f', fence), 'o', ARGV[1], 'u', string.format('%.0f', now + hold))
-- A commit that is late, but still the newest, is good for ten more minutes; then the lock is forgotten.
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', hold + 600000))
return {fence, meta[1], tonumber(meta[2]) or 0, 0}
