-- KEYS: a kind's hash. ARGV: largest. Returns id, body, id, body, ..., or (as a number) the length of all bodies if that is above the largest.
local length = 0
for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do length = length + redis.call('HSTRLEN', KEYS[1], id) end
if length > tonumber(ARGV[1]) then return length end
return redis.call('HGETALL', KEYS[1])
