-- Included before the scripts that push into lanes or drop them. `prefix` is 'confab:{TAG}:' of a partition; all keys
-- that are made with it lie in the slot of the script's first key. Those that writing scripts need are declared as
-- keys as well, behind the ones that the script's head names (ScriptCall::pushes says why); they are not read from there.
--   PREFIXlanes      zset: names of all lanes           PREFIXdue    zset: lanes that are due later, by ms
--   PREFIXready      stream: lanes that are due, for the group 'hosts'
--   PREFIXnumber     string: number of the newest entry of any lane
--   PREFIXl/LANE:entries  stream: entry N has the id N-0    PREFIXl/LANE:state  hash: r entry of 'ready', n note
--   PREFIXl/LANE:sources  hash: newest number of each source   PREFIXonce/NAME  string: a push of this name was made
local function lane_key(prefix, lane, part) return prefix .. 'l/' .. lane .. ':' .. part end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Whether a lane became due, which hosts should hear at the end.
local became_ready = false

local function make_ready(prefix, lane)
  local id = redis.call('XADD', prefix .. 'ready', '*', 'l', lane)
  redis.call('HSET', lane_key(prefix, lane, 'state'), 'r', id)
  became_ready = true
end

-- The lane's place in the queue of due lanes is gone, and with it the right of whoever works at it.
local function take_from_ready(prefix, id)
  redis.call('XACK', prefix .. 'ready', 'hosts', id)
  redis.call('XDEL', prefix .. 'ready', id)
end

local function wait_for(prefix, lane, ms)
  if ms > 0 then
    redis.call('ZADD', prefix .. 'due', string.format('%.0f', now_ms() + ms), lane)
  else
    make_ready(prefix, lane)
  end
end

local function remove_lane(prefix, lane)
  redis.call('ZREM', prefix .. 'lanes', lane)
  redis.call('ZREM', prefix .. 'due', lane)
  redis.call('DEL', lane_key(prefix, lane, 'entries'), lane_key(prefix, lane, 'state'))
end

local function drop_lane(prefix, lane)
  if not redis.call('ZSCORE', prefix .. 'lanes', lane) then return 0 end
  local ready = redis.call('HGET', lane_key(prefix, lane, 'state'), 'r')
  if ready then take_from_ready(prefix, ready) end
  remove_lane(prefix, lane)
  return 1
end

local function push(prefix, lane, body, due_in, once, name, value)
  if once == 'named' then
    if not redis.call('SET', prefix .. 'once/' .. name, '', 'NX', 'PX', value) then return 0 end
  elseif once == 'numbered' then
    local sources = lane_key(prefix, lane, 'sources')
    local last = redis.call('HGET', sources, name)
    if last and tonumber(value) <= tonumber(last) then return 0 end
    redis.call('HSET', sources, name, value)
    redis.call('PEXPIRE', sources, 2678400000)
  end
  local number = redis.call('INCR', prefix .. 'number')
  redis.call('XADD', lane_key(prefix, lane, 'entries'), string.format('%.0f-0', number), 'b', body)
  if redis.call('ZADD', prefix .. 'lanes', 'NX', 0, lane) == 1 then wait_for(prefix, lane, tonumber(due_in)) end
  return 1
end

local function tell(prefix)
  if became_ready then redis.call('PUBLISH', 'confab:lanes', string.match(prefix, '{p(%d+)')) end
end

-- From ARGV[from] on, for each push: lane, body, due in (ms), '', 'named' or 'numbered', name, ms or number.
local function push_all(prefix, from)
  local made = {}
  for i = from, #ARGV, 6 do
    made[#made + 1] = push(prefix, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
  end
  tell(prefix)
  return made
end
