-- Changes configuration documents, all or none, and announces it.
-- KEYS: version, then the kind's hash of each change. ARGV: channel, then for each change: id, '1' or '0' (delete), body.
for i = 2, #KEYS do
  local at = 2 + (i - 2) * 3
  if ARGV[at + 1] == '1' then
    redis.call('HSET', KEYS[i], ARGV[at], ARGV[at + 2])
  else
    redis.call('HDEL', KEYS[i], ARGV[at])
  end
end
local version = redis.call('INCR', KEYS[1])
redis.call('PUBLISH', ARGV[1], version)
return version
