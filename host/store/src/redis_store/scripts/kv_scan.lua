-- KEYS: values, order. ARGV: from, to (as ZRANGEBYLEX writes them), limit. Returns key, value, key, value, ...
local keys = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local found = {}
for i, key in ipairs(keys) do
  found[i * 2 - 1] = key
  found[i * 2] = redis.call('HGET', KEYS[1], key)
end
return found
