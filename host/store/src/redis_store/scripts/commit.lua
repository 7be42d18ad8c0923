-- Writes a turn and unlocks, if the fence is the newest.
-- KEYS: lock, meta, log, answers, answers-due.
-- ARGV: fence, head, expiry (ms), number of entries, entries..., then for an answer: key, body, expiry (ms).
-- Returns the number of turns, or 0 if the lease was lost.
if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then
  -- The same commit again, whose first answer was lost with the connection?
  local meta = redis.call('HMGET', KEYS[2], 'f', 'n')
  if meta[1] == ARGV[1] then return tonumber(meta[2]) end
  return 0
end
redis.call('HSET', KEYS[2], 'h', ARGV[2], 'f', ARGV[1])
local turns = redis.call('HINCRBY', KEYS[2], 'n', 1)
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local count = tonumber(ARGV[4])
for i = 5, 4 + count do redis.call('RPUSH', KEYS[3], ARGV[i]) end
redis.call('PEXPIRE', KEYS[3], ARGV[3])
local answer = 5 + count
if ARGV[answer] then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  -- A few of the expired ones go with each new one, so that an old conversation keeps no old answers.
  local due = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', string.format('%.0f', now), 'LIMIT', 0, 16)
  for _, key in ipairs(due) do
    redis.call('HDEL', KEYS[4], key)
    redis.call('ZREM', KEYS[5], key)
  end
  redis.call('HSET', KEYS[4], ARGV[answer], ARGV[answer + 1])
  redis.call('ZADD', KEYS[5], string.format('%.0f', now + tonumber(ARGV[answer + 2])), ARGV[answer])
  -- Both live as long as the answer that lives longest.
  local life = math.max(tonumber(ARGV[answer + 2]), redis.call('PTTL', KEYS[4]))
  redis.call('PEXPIRE', KEYS[4], string.format('%.0f', life))
  redis.call('PEXPIRE', KEYS[5], string.format('%.0f', life))
end
redis.call('DEL', KEYS[1])
return turns
