-- KEYS: values, order. ARGV: key, delta. Returns the sum as text (Lua's numbers lose digits), or nil if it can't be made.
local ended = redis.pcall('HINCRBY', KEYS[1], ARGV[1], ARGV[2])
if type(ended) == 'table' and ended.err then
  if string.find(ended.err, 'not an integer') or string.find(ended.err, 'overflow') then return false end
  return ended
end
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return redis.call('HGET', KEYS[1], ARGV[1])
