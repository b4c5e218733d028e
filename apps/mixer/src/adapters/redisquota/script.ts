import { createHash } from 'node:crypto'

/**
 * Takes from or gives back to one cell, in one step at the server and by the server's clock, so that any number of
 * Mixers count together. Keys: the cell, and where a deduplication id was given, its answer; both carry the same hash
 * tag. Both expire by themselves.
 *
 * A fixed window starts with the first taking and ends `window` later: fields `used`, `ends`.
 * A rolling window is divided into buckets: a field a bucket that took something, their sum in `used`, and the range
 * of them in `oldest` and `newest`. Buckets leave as the window moves; each is visited once.
 */
export const quotaScript = `
local amount, best_effort, max = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
local window, bucket_size, dedup_ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local cell, dedup = KEYS[1], KEYS[2]

if dedup then
  local seen = redis.call('HMGET', dedup, 'amount', 'valid')
  if seen[1] then return { tonumber(seen[1]), tonumber(seen[2]) } end
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function whole(number) return string.format('%.0f', number) end

local used, ends, oldest, newest, current
if bucket_size == 0 then
  local state = redis.call('HMGET', cell, 'used', 'ends')
  used, ends = tonumber(state[1]) or 0, math.min(tonumber(state[2]) or 0, now + window)
  if ends <= now then used, ends = 0, now + window end
else
  local state = redis.call('HMGET', cell, 'used', 'oldest', 'newest')
  used, oldest, newest = tonumber(state[1]) or 0, tonumber(state[2]), tonumber(state[3])
  current = math.floor(now / bucket_size)
  if newest then
    current = math.max(current, newest)
    local leaving = current - math.floor(window / bucket_size)
    if newest <= leaving then
      redis.call('DEL', cell)
      used, oldest, newest = 0, nil, nil
    else
      while oldest <= leaving do
        local taken = redis.call('HGET', cell, whole(oldest))
        if taken then
          used = used - tonumber(taken)
          redis.call('HDEL', cell, whole(oldest))
        end
        oldest = oldest + 1
      end
    end
  end
end

local result
if amount >= 0 then
  result = amount
  if amount > max - used then result = best_effort and math.max(max - used, 0) or 0 end
  used = used + result
  if bucket_size > 0 and result > 0 then
    redis.call('HINCRBY', cell, whole(current), whole(result))
    oldest, newest = oldest or current, current
  end
else
  result = math.min(-amount, used)
  used = used - result
  if bucket_size > 0 then
    local left = result
    local bucket = newest
    while left > 0 and bucket >= oldest do
      local taken = tonumber(redis.call('HGET', cell, whole(bucket)) or '0')
      local part = math.min(left, taken)
      if part == taken then
        if taken > 0 then redis.call('HDEL', cell, whole(bucket)) end
      else
        redis.call('HSET', cell, whole(bucket), whole(taken - part))
      end
      left = left - part
      bucket = bucket - 1
    end
  end
end

local valid = 0
if bucket_size == 0 then
  if result > 0 then
    redis.call('HSET', cell, 'used', whole(used), 'ends', whole(ends))
    redis.call('PEXPIRE', cell, whole(math.max(ends - now, 1)))
    if amount > 0 then valid = ends - now end
  end
elseif oldest then
  redis.call('HSET', cell, 'used', whole(used), 'oldest', whole(oldest), 'newest', whole(newest))
  redis.call('PEXPIRE', cell, whole(window + bucket_size))
  if amount > 0 and result > 0 then valid = window end
end

if dedup then
  redis.call('HSET', dedup, 'amount', whole(result), 'valid', whole(valid))
  redis.call('PEXPIRE', dedup, dedup_ttl)
end
return { result, valid }
`

/** The name by which a server that has seen the script runs it again. */
export const quotaScriptSha = createHash('sha1').update(quotaScript).digest('hex')
