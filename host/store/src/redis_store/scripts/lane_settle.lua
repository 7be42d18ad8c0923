-- Leaves a lane. KEYS: ready, what was done for the request.
-- ARGV: entry of 'ready', consumer, how often it was given out, prefix, lane, entry up to which all are done,
--   due in (ms), '1' and the note or '0' and '', pushes (see pushes.lua).
-- Returns 1, or 0 if the lane was taken.
local prefix, lane = ARGV[4], ARGV[5]
if not holds(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return redis.call('EXISTS', KEYS[2]) end
local entries, state = lane_key(prefix, lane, 'entries'), lane_key(prefix, lane, 'state')
take_from_ready(prefix, ARGV[1])
redis.call('XTRIM', entries, 'MINID', string.format('%.0f-0', tonumber(ARGV[6]) + 1))
if redis.call('XLEN', entries) == 0 then
  remove_lane(prefix, lane)
else
  redis.call('HDEL', state, 'r', 'n')
  if ARGV[8] == '1' then redis.call('HSET', state, 'n', ARGV[9]) end
  wait_for(prefix, lane, tonumber(ARGV[7]))
end
push_all(prefix, 10)
-- For the same request again, should the answer be lost with the connection.
redis.call('SET', KEYS[2], '', 'PX', 60000)
return 1
