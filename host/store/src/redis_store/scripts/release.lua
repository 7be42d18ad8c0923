-- Gives a lock, or a place in its queue, back without writing. KEYS: lock, queue, hosts. ARGV: ticket.
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HGET', KEYS[1], 'o') == ARGV[1] then redis.call('DEL', KEYS[1]) end
wake(KEYS[1], KEYS[2])
return 1
