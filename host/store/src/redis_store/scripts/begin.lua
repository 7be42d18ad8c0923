-- Takes a conversation's turn lock and reads its state, or waits for it in the order of arrival.
-- KEYS: lock, meta, journal, queue, hosts, answers, answers-due.
-- ARGV: ticket (HOST-REQUEST-WAIT in ms; owner of the lock as well), host, hold (ms), mode, most waiting,
--   place in the queue ('' before the first answer), then the answer key if there is one.
-- Modes: 'once' takes the lock or not, 'first' takes it or waits, 'queued' waits behind another task of this host.
-- Returns {what, number, bytes, number, list}:
--   1 taken: fence, head, turns, journal    2 answered before: 0, answer    3 in flight    4 crowded
--   5 not yet: place in the queue, nil, ms until the lock may be taken over (0: others come first)
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
local ticket, host, mode, queue, hosts = ARGV[1], ARGV[2], ARGV[4], KEYS[4], KEYS[5]
local lock = redis.call('HMGET', KEYS[1], 'f', 'o', 'u', 'a')
local left = (tonumber(lock[3]) or 0) - now

local function whole(number) return string.format('%.0f', number) end

local function host_of(other) return string.match(other, '^%x+') end

-- A ticket lives while its host asks for this conversation, and no longer than it wanted to wait.
local function lives(other, place)
  local wait = tonumber(string.match(other, '%d+$'))
  if now > tonumber(place) / 1000 + wait + 2000 then return false end
  local from = host_of(other)
  return from == host or (tonumber(redis.call('HGET', hosts, from)) or 0) > now
end

local function remove_dead()
  local all = redis.call('ZRANGE', queue, 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    if not lives(all[i], all[i + 1]) then redis.call('ZREM', queue, all[i]) end
  end
end

local function oldest()
  while true do
    local first = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
    if not first[1] or lives(first[1], first[2]) then return first[1] end
    redis.call('ZREM', queue, first[1])
  end
end

-- Else it is the same request again: its first answer was lost with the connection.
if lock[2] ~= ticket then
  local key = ARGV[7]
  if key then
    local due = redis.call('ZSCORE', KEYS[7], key)
    local answer = due and tonumber(due) > now and redis.call('HGET', KEYS[6], key)
    local what = answer and 2 or (left > 0 and lock[4] == key) and 3
    if what then
      redis.call('ZREM', queue, ticket)
      return {what, 0, answer, 0, {}}
    end
  end
  local first = oldest()
  -- The tasks of a host come in the order that they have there; so the oldest ticket of this host may stand for it.
  if left > 0 or mode == 'queued' or (first and host_of(first) ~= host) then
    left = math.max(left, 0)
    if mode == 'once' then return {5, 0, false, left, {}} end
    local place = redis.call('ZSCORE', queue, ticket) or ARGV[6]
    if place == '' then
      local most = tonumber(ARGV[5])
      if redis.call('ZCARD', queue) >= most then
        remove_dead()
        if redis.call('ZCARD', queue) >= most then return {4, 0, false, 0, {}} end
      end
      local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')
      place = whole(math.max(micros, (tonumber(last[2]) or 0) + 1))
    end
    -- A ticket that was taken for dead gets its old place again.
    redis.call('ZADD', queue, place, ticket)
    redis.call('HSET', hosts, host, whole(now + 2000))
    redis.call('PEXPIRE', hosts, 2000)
    redis.call('PEXPIRE', queue, 60000)
    return {5, tonumber(place), false, left, {}}
  end
  if first then redis.call('ZREM', queue, ticket) end
end

local meta = redis.call('HMGET', KEYS[2], 'h', 'n', 'f')
local hold = tonumber(ARGV[3])
local fence
if lock[2] == ticket then
  fence = tonumber(lock[1])
else
  fence = math.max(micros, (tonumber(lock[1]) or 0) + 1, (tonumber(meta[3]) or 0) + 1)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'f', whole(fence), 'o', ticket)
  if ARGV[7] then redis.call('HSET', KEYS[1], 'a', ARGV[7]) end
end
redis.call('HSET', KEYS[1], 'u', whole(now + hold))
-- A commit that is late, but still the newest, is good for ten more minutes; then the lock is forgotten.
redis.call('PEXPIRE', KEYS[1], whole(hold + 600000))
return {1, fence, meta[1], tonumber(meta[2]) or 0, redis.call('LRANGE', KEYS[3], 0, -1)}
