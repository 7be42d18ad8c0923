-- Notes what a running turn has done, if the fence is the newest.
-- KEYS: lock, journal, meta. ARGV: fence, request, prefix of the partition, '1' and the turn or '0',
--   number of entries, entries..., pushes (see pushes.lua).
-- Returns 1, or 0 if the lease was lost.
if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
-- The same note again, whose first answer was lost with the connection? The lock remembers all of this turn's notes.
if redis.call('HSETNX', KEYS[1], 'r' .. ARGV[2], '') == 0 then return 1 end
local at = 5
if ARGV[4] == '1' then
  redis.call('DEL', KEYS[2])
  redis.call('RPUSH', KEYS[2], ARGV[5])
  at = 6
end
local last = at + tonumber(ARGV[at])
for i = at + 1, last do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', math.max(86400000, redis.call('PTTL', KEYS[3]))))
push_all(ARGV[3], last + 1)
return 1
