-- Moves lanes that have become due to 'ready'. KEYS: ready, due. ARGV: prefix, hold (ms), '1' to forget hosts that are gone.
-- Returns 1 if a host that asks would get a lane.
local prefix, ready = ARGV[1], KEYS[1]
local due = redis.call('ZRANGEBYSCORE', prefix .. 'due', '-inf', string.format('%.0f', now_ms()), 'LIMIT', 0, 100)
for _, lane in ipairs(due) do
  -- While a slot moves between nodes, a key that is elsewhere ends the script: here, before anything is done.
  redis.call('EXISTS', lane_key(prefix, lane, 'state'))
  redis.call('ZREM', prefix .. 'due', lane)
  make_ready(prefix, lane)
end
if #due > 0 then tell(prefix) end
local length = redis.call('XLEN', ready)
if ARGV[3] == '1' and redis.call('EXISTS', ready) == 1 then
  local consumers = redis.pcall('XINFO', 'CONSUMERS', ready, 'hosts')
  for _, consumer in ipairs(consumers) do
    -- name, NAME, pending, COUNT, idle, MS; one that is not gone is made again when it asks.
    if consumer[4] == 0 and consumer[6] > 3600000 then
      redis.call('XGROUP', 'DELCONSUMER', ready, 'hosts', consumer[2])
    end
  end
end
if length == 0 then return 0 end
local pending = redis.pcall('XPENDING', ready, 'hosts')
if pending.err or pending[1] < length then return 1 end
local stale = redis.call('XPENDING', ready, 'hosts', 'IDLE', ARGV[2], '-', '+', 1)
return #stale
