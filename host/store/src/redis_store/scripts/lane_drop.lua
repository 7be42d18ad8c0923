-- Removes a lane. KEYS: lanes, what was done for the request. ARGV: prefix, lane. Returns 1 if there was one.
if redis.call('EXISTS', KEYS[2]) == 1 then return 1 end
local dropped = drop_lane(ARGV[1], ARGV[2])
if dropped == 1 then redis.call('SET', KEYS[2], '', 'PX', 60000) end
return dropped
