#!lua name=promptsales_cache

-- Cache-aside with leases. Who misses takes a lease on the key (SET lease TOKEN NX PX) and loads; only with the lease still
-- in its hands may it fill. An invalidation takes the lease away, so a value read before it cannot come after it.
-- Who waits reads the stream "done" of the token it waits for; the stream is kept for a while, so no wake-up is missed.

local function done(key, kept)
  redis.call('XADD', key, '*', 'done', '1')
  redis.call('PEXPIRE', key, kept)
end

local function take_away(lease, token)
  if redis.call('GET', lease) ~= token then
    return 0
  end
  redis.call('DEL', lease)
  return 1
end

-- FCALL lease_fill 3 KEY LEASE DONE TOKEN VALUE TTL_MS KEPT_MS -> 1, or 0 if the lease is gone; TTL 0 is for ever
local function lease_fill(keys, args)
  if #keys ~= 3 or #args ~= 4 or tonumber(args[3]) == nil or tonumber(args[4]) == nil then
    return redis.error_reply('ERR lease_fill takes key, lease and done; token, value, and two times in milliseconds')
  end
  local held = take_away(keys[2], args[1])
  if held == 1 then
    if tonumber(args[3]) > 0 then
      redis.call('SET', keys[1], args[2], 'PX', args[3])
    else
      redis.call('SET', keys[1], args[2])
    end
  end
  done(keys[3], args[4])
  return held
end

-- FCALL lease_release 2 LEASE DONE TOKEN KEPT_MS -> 1, or 0 if it was gone: compare and delete
local function lease_release(keys, args)
  if #keys ~= 2 or #args ~= 2 or tonumber(args[2]) == nil then
    return redis.error_reply('ERR lease_release takes lease and done; token, and a time in milliseconds')
  end
  local held = take_away(keys[1], args[1])
  done(keys[2], args[2])
  return held
end

-- FCALL invalidate 3 KEY LEASE STREAM MOST -> the id of its entry in the stream, which keeps about MOST of them
-- An entry names the one before it, so a reader notices when entries were removed before it had read them.
local function invalidate(keys, args)
  if #keys ~= 3 or #args ~= 1 or tonumber(args[1]) == nil then
    return redis.error_reply('ERR invalidate takes key, lease and stream; how many entries are kept')
  end
  redis.call('DEL', keys[1], keys[2])
  local last = redis.call('XREVRANGE', keys[3], '+', '-', 'COUNT', 1)[1]
  local after = last and last[1] or ''
  return redis.call('XADD', keys[3], 'MAXLEN', '~', args[1], '*', 'key', keys[1], 'after', after)
end

redis.register_function('lease_fill', lease_fill)
redis.register_function('lease_release', lease_release)
redis.register_function('invalidate', invalidate)
