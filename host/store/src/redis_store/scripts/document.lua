-- KEYS: a kind's hash. ARGV: id, largest. Returns the body, nil, or (as a number) its length if that is above the largest.
local length = redis.call('HSTRLEN', KEYS[1], ARGV[1])
if length > tonumber(ARGV[2]) then return length end
return redis.call('HGET', KEYS[1], ARGV[1])
