-- Pushes into lanes. KEYS: what was done for the request. ARGV: prefix of the partition, pushes (see pushes.lua).
-- Returns '1' or, for one that was known, '0' for each, as one text.
local done = redis.call('GET', KEYS[1])
if done then return done end
local made = table.concat(push_all(ARGV[1], 2))
-- For the same request again, should the answer be lost with the connection.
redis.call('SET', KEYS[1], made, 'PX', 60000)
return made
