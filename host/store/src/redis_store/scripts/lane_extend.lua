-- Keeps a lane. KEYS: ready. ARGV: entry of 'ready', consumer, how often it was given out. Returns 1, or 0 if it was taken.
if not holds(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return 0 end
-- A claim by the one who has it only sets its idle time to 0; JUSTID does not count as given out again.
redis.call('XCLAIM', KEYS[1], 'hosts', ARGV[2], 0, ARGV[1], 'JUSTID')
return 1
