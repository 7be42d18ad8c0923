-- Appends to a bounded log. KEYS: names, last, log. ARGV: name, keep, cut above, records...
local count = #ARGV - 3
local number = redis.call('INCRBY', KEYS[2], count) - count
for i = 4, #ARGV do
  number = number + 1
  redis.call('XADD', KEYS[3], string.format('%.0f-0', number), 'r', ARGV[i])
end
redis.call('ZADD', KEYS[1], 0, ARGV[1])
if redis.call('XLEN', KEYS[3]) > tonumber(ARGV[3]) then redis.call('XTRIM', KEYS[3], 'MAXLEN', ARGV[2]) end
return 1
