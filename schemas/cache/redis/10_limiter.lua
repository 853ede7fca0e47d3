#!lua name=promptsales

-- FCALL rate_limit 1 KEY LIMIT WINDOW_MS -> {allowed (1 or 0), remaining, retry after (ms)}
--
-- A log of the window that slides: a sorted set of the times, in microseconds, of the requests that were let through. In
-- any span of WINDOW_MS at most LIMIT are, exactly, whatever the clients' clocks say: the time is the server's.

local MOST_MS = 31 * 24 * 3600 * 1000

local function whole(text, most)
  local number = tonumber(text)
  if number == nil or number ~= math.floor(number) or number < 1 or number > most then
    return nil
  end
  return number
end

-- Lua would write a large number as 1.7e+15.
local function digits(number)
  return string.format('%.0f', number)
end

local function rate_limit(keys, args)
  if #keys ~= 1 or #args ~= 2 then
    return redis.error_reply('ERR rate_limit takes one key, a limit and a window in milliseconds')
  end
  local limit, window = whole(args[1], 1000000), whole(args[2], MOST_MS)
  if limit == nil then
    return redis.error_reply('ERR rate_limit: the limit must be a whole number from 1 to 1000000')
  end
  if window == nil then
    return redis.error_reply('ERR rate_limit: the window must be a whole number of milliseconds from 1 to ' .. digits(MOST_MS))
  end

  local key, time = keys[1], redis.call('TIME')
  local now, span = tonumber(time[1]) * 1000000 + tonumber(time[2]), window * 1000
  redis.call('ZREMRANGEBYSCORE', key, '-inf', digits(now - span))
  local count = redis.call('ZCARD', key)
  if count >= limit then
    -- It is free again when as many have left the window as are too many now.
    local leaves = redis.call('ZRANGE', key, count - limit, count - limit, 'WITHSCORES')[2]
    return {0, 0, math.max(1, math.ceil((tonumber(leaves) + span - now) / 1000))}
  end
  -- Several may come in one microsecond.
  local member = digits(now) .. '-' .. redis.call('ZCOUNT', key, digits(now), digits(now))
  redis.call('ZADD', key, digits(now), member)
  redis.call('PEXPIRE', key, digits(window + 1))
  return {1, limit - count - 1, 0}
end

redis.register_function('rate_limit', rate_limit)
