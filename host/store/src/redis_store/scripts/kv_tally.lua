-- KEYS: values, order. ARGV: for each step: key, 'add' or 'max', number.
-- Returns nil, or the key of a value that is no number; then nothing was written.
local largest, smallest = '9223372036854775807', '-9223372036854775808'

-- Whether one decimal number is above another. They are compared as text, because Lua's numbers lose digits.
local function above(one, other)
  local negative = string.sub(one, 1, 1) == '-'
  if negative ~= (string.sub(other, 1, 1) == '-') then return not negative end
  if negative then one, other = string.sub(other, 2), string.sub(one, 2) end
  if #one ~= #other then return #one > #other end
  return one > other
end

local function is_number(text)
  if text ~= '0' and not string.find(text, '^%-?[1-9]%d*$') then return false end
  return not above(text, largest) and not above(smallest, text)
end

for i = 1, #ARGV, 3 do
  local value = redis.call('HGET', KEYS[1], ARGV[i])
  if value and not is_number(value) then return ARGV[i] end
end
for i = 1, #ARGV, 3 do
  local key, step, number = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if step == 'max' then
    local value = redis.call('HGET', KEYS[1], key)
    if not value or above(number, value) then redis.call('HSET', KEYS[1], key, number) end
  else
    local ended = redis.pcall('HINCRBY', KEYS[1], key, number)
    -- Both are numbers, so all that can go wrong is that the sum leaves the range.
    if type(ended) == 'table' and ended.err then
      redis.call('HSET', KEYS[1], key, string.sub(number, 1, 1) == '-' and smallest or largest)
    end
  end
  redis.call('ZADD', KEYS[2], 0, key)
end
return false
