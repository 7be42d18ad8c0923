-- Takes a place in a schedule. KEYS: schedule. ARGV: lane, take (0/1), within, pause (0 keeps what is, -1 ends it), then
-- interval and tolerance of each pace. All times are microseconds; they stay below 2^53, so a Lua number holds them exactly.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function number(field) return tonumber(redis.call('HGET', KEYS[1], field) or '0') end
local function set(field, value) redis.call('HSET', KEYS[1], field, string.format('%.0f', value)) end
local lane = 'p/' .. ARGV[1]
local paused = number(lane)
local pause = tonumber(ARGV[4])
if pause < 0 then
  paused = 0
  redis.call('HDEL', KEYS[1], lane)
elseif pause > 0 and now + pause > paused then
  paused = now + pause
  set(lane, paused)
end
local at = math.max(now, paused)
local longest = paused
local empty = {}
for i = 5, #ARGV, 2 do
  empty[i] = number('t' .. i)
  at = math.max(at, empty[i] - tonumber(ARGV[i + 1]))
end
local taken = 0
if ARGV[2] == '1' and at - now <= tonumber(ARGV[3]) then
  taken = 1
  for i = 5, #ARGV, 2 do
    local value = math.max(empty[i], at) + tonumber(ARGV[i])
    longest = math.max(longest, value)
    set('t' .. i, value)
  end
end
-- What lies in the past says nothing; another lane's pause may be longer, so an expiry is only ever put off.
local keep = math.ceil((longest - now) / 1000) + 1000
if keep > 0 and redis.call('PTTL', KEYS[1]) < keep then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', keep)) end
return {at - now, taken, math.max(0, paused - now)}
