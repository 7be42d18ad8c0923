-- Takes due lanes. KEYS: ready. ARGV: prefix, consumer, most, entries, hold (ms).
-- Returns for each lane {entry of 'ready', how often it was given out, name, note or nil, {{id, {field, entry}}, ...}}.
local prefix, ready, consumer = ARGV[1], KEYS[1], ARGV[2]
local most = tonumber(ARGV[3])
local taken = {}

local function take(id, lane)
  local entries = redis.call('XRANGE', lane_key(prefix, lane, 'entries'), '-', '+', 'COUNT', ARGV[4])
  if #entries == 0 then
    take_from_ready(prefix, id)
    remove_lane(prefix, lane)
    return
  end
  local times = redis.call('XPENDING', ready, 'hosts', id, id, 1)[1][4]
  taken[#taken + 1] = {id, times, lane, redis.call('HGET', lane_key(prefix, lane, 'state'), 'n'), entries}
end

if redis.call('XLEN', ready) == 0 then return taken end
local group = redis.pcall('XGROUP', 'CREATE', ready, 'hosts', '0')
if group.err and not string.find(group.err, 'BUSYGROUP') then return group end
-- First those of hosts that are gone: they have waited longest.
local cursor = '0-0'
repeat
  local claimed = redis.call('XAUTOCLAIM', ready, 'hosts', consumer, ARGV[5], cursor, 'COUNT', most - #taken)
  cursor = claimed[1]
  for _, entry in ipairs(claimed[2]) do
    if entry then take(entry[1], entry[2][2]) end
  end
until cursor == '0-0' or #taken >= most
if #taken < most then
  local read = redis.call('XREADGROUP', 'GROUP', 'hosts', consumer, 'COUNT', most - #taken, 'STREAMS', ready, '>')
  if read then
    for _, entry in ipairs(read[1][2]) do take(entry[1], entry[2][2]) end
  end
end
return taken
