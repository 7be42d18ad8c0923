-- A stored answer that has not expired. KEYS: answers, answers-due. ARGV: answer key.
local due = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not due then return false end
local time = redis.call('TIME')
if tonumber(due) <= tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) then return false end
return redis.call('HGET', KEYS[1], ARGV[1])
