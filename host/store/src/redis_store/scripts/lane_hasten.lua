-- Makes a lane due. KEYS: lanes. ARGV: prefix, lane. Returns 1 if there is one.
local prefix, lane = ARGV[1], ARGV[2]
if redis.call('ZREM', prefix .. 'due', lane) == 1 then
  make_ready(prefix, lane)
  tell(prefix)
end
return redis.call('ZSCORE', KEYS[1], lane) and 1 or 0
