-- Writes a turn and unlocks, if the fence is the newest.
-- KEYS: lock, meta, log, answers, answers-due, journal, records, queue.
-- ARGV: fence, number of the commit under it, ms to keep the lock for or '0', prefix of the partition, head, expiry (ms),
--   number of entries, entries..., number of answers, for each: key, answer, expiry (ms); '1' and the record or '0',
--   number of lanes to drop, lanes..., pushes (see pushes.lua).
-- Returns the number of turns, or 0 if the lease was lost.
local meta = redis.call('HMGET', KEYS[2], 'f', 'n', 'k')
-- The same commit again, whose first answer was lost with the connection?
if meta[1] == ARGV[1] and meta[3] == ARGV[2] then return tonumber(meta[2]) end
if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
local at = 6
local function following()
  at = at + 1
  return ARGV[at]
end
redis.call('HSET', KEYS[2], 'h', ARGV[5], 'f', ARGV[1], 'k', ARGV[2])
local turns = redis.call('HINCRBY', KEYS[2], 'n', 1)
redis.call('PEXPIRE', KEYS[2], ARGV[6])
for _ = 1, tonumber(following()) do redis.call('RPUSH', KEYS[3], following()) end
redis.call('PEXPIRE', KEYS[3], ARGV[6])
for _ = 1, tonumber(following()) do
  local key, answer, expiry = following(), following(), tonumber(following())
  local now = now_ms()
  -- A few of the expired ones go with each new one, so that an old conversation keeps no old answers.
  local due = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', string.format('%.0f', now), 'LIMIT', 0, 16)
  for _, old in ipairs(due) do
    redis.call('HDEL', KEYS[4], old)
    redis.call('ZREM', KEYS[5], old)
  end
  redis.call('HSET', KEYS[4], key, answer)
  redis.call('ZADD', KEYS[5], string.format('%.0f', now + expiry), key)
  -- Both live as long as the answer that lives longest.
  local life = string.format('%.0f', math.max(expiry, redis.call('PTTL', KEYS[4])))
  redis.call('PEXPIRE', KEYS[4], life)
  redis.call('PEXPIRE', KEYS[5], life)
end
if following() == '1' then redis.call('HSET', KEYS[7], string.format('%.0f', turns), following()) end
redis.call('PEXPIRE', KEYS[7], ARGV[6])
redis.call('DEL', KEYS[6])
for _ = 1, tonumber(following()) do drop_lane(ARGV[4], following()) end
push_all(ARGV[4], at + 1)
local hold = tonumber(ARGV[3])
if hold > 0 then
  redis.call('HSET', KEYS[1], 'u', string.format('%.0f', now_ms() + hold))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', hold + 600000))
else
  redis.call('DEL', KEYS[1])
  wake(KEYS[1], KEYS[8])
end
return turns
