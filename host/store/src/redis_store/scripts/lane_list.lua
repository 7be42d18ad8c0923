-- Lists lanes. KEYS: lanes. ARGV: prefix, from, to (as ZRANGEBYLEX writes them), limit.
-- Returns for each {name, length, ms until it is due, note or nil}.
local prefix = ARGV[1]
local now = now_ms()
local found = {}
for i, lane in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])) do
  local due = tonumber(redis.call('ZSCORE', prefix .. 'due', lane) or '0')
  local length = redis.call('XLEN', lane_key(prefix, lane, 'entries'))
  found[i] = {lane, length, math.max(0, due - now), redis.call('HGET', lane_key(prefix, lane, 'state'), 'n')}
end
return found
