"""
What is decided in Redis, each in one step.

Rule 1: moments are those of the server's clock and stay there: in and out go seconds from now.
Rule 2: the keys of one script lie on one node of a cluster.
Rule 3: every key has a time to live, within which what it says would have become true of itself, or nobody would ask for it.
Rule 4: a key that is gone is not an answer: Redis may have lost it. Whoever asks tells what it knew last, and that counts then.

They need Redis 5, where a script may both read the clock and write.
"""

from __future__ import annotations

import hashlib

__all__ = [
    "ADD_TO_QUOTA",
    "BRING_BACK",
    "COUNT_PROCESSES",
    "DRAIN",
    "ENTER",
    "GIVE",
    "HOLD_MONEY",
    "HOLD_PLACES",
    "LOOK",
    "PROBE",
    "REST",
    "SETTLE_CALL",
    "SETTLE_MONEY",
    "TRY_KEY",
    "Script",
]

_CLOCK = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local function text(number) return string.format('%.17g', number) end
local function live(key, seconds)
  if redis.call('TTL', key) < seconds then redis.call('EXPIRE', key, math.ceil(seconds)) end
end
"""


class Script:
    """A script, and the name by which Redis knows it once it has seen it."""

    __slots__ = ("digest", "text")

    def __init__(self, text: str) -> None:
        self.text = _CLOCK + text
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


# Of the processes that gave a sign of life: all.
COUNT_PROCESSES = Script("""
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
live(KEYS[1], 2 * tonumber(ARGV[2]))
return redis.call('ZCARD', KEYS[1])
""")

# -- limits: a hash of the levels (level, and the moment it is for, which may lie ahead: what was promised to others is taken off it
# already); sorted sets of who sends (until when), who waits for a place (since when), and when those last asked.

_LEVELS = """
local function level_of(name, capacity, rate)
  local held = redis.call('HMGET', KEYS[1], name, name .. '@')
  if not held[1] then return nil end
  local level, at = tonumber(held[1]), tonumber(held[2])
  if at < now then level, at = level + (now - at) * rate, now end
  return math.min(capacity, level), at
end
local function keep(name, level, at, capacity, rate)
  redis.call('HSET', KEYS[1], name, text(level), name .. '@', text(at))
  local lasts = 30 * 86400
  if rate > 0 then lasts = math.min(lasts, (capacity - level) / rate + at - now + 60) end
  live(KEYS[1], lasts)
end
"""

# ARGV: who, seconds it can wait (or -1), places, seconds that a place is held, whether the asker was on its own;
# then for requests and for tokens: need, capacity (0: no limit), rate, the level it knew, seconds until that level's moment.
# Returns one of: 0 granted after so many seconds, 1 to ask again then, 2 not in time, 3 never; then level and moment of both.
ENTER = Script(
    _LEVELS
    + """
local who, patience, places, hold, alone = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local sizes, start = {}, now
for place, name in ipairs({'requests', 'tokens'}) do
  local size = {name = name}
  for number, fact in ipairs({'need', 'capacity', 'rate', 'level', 'ahead'}) do size[fact] = tonumber(ARGV[5 * place + number]) end
  sizes[place] = size
  if size.capacity > 0 then
    local known, at = size.level, now + size.ahead
    size.level, size.at = level_of(name, size.capacity, size.rate)
    if not size.level then
      size.level, size.at = known, at
    elseif alone then
      size.level, size.at = math.min(size.level, known), math.max(size.at, at)
    end
    if size.need > 0 then
      local missing = size.need - size.level
      if missing > 1e-9 * size.capacity then
        if size.rate <= 0 then return {3, '0', '0', '0', '0', '0'} end
        start = math.max(start, size.at + missing / size.rate)
      else
        start = math.max(start, size.at)
      end
    end
  end
end
local function answer(what, wait)
  local told = {what, text(wait)}
  for _, size in ipairs(sizes) do
    told[#told + 1] = text(size.level)
    told[#told + 1] = text((size.at or now) - now)
  end
  return told
end
if places > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now - 2)) do
    redis.call('ZREM', KEYS[3], gone)
    redis.call('ZREM', KEYS[4], gone)
  end
  local before = redis.call('ZRANK', KEYS[3], who) or redis.call('ZCARD', KEYS[3])
  if places - redis.call('ZCARD', KEYS[2]) - before <= 0 then
    redis.call('ZADD', KEYS[3], 'NX', text(now), who)
    redis.call('ZADD', KEYS[4], text(now), who)
    live(KEYS[3], 60)
    live(KEYS[4], 60)
    return answer(1, math.min(0.1, 0.01 * (before + 1)))
  end
end
if patience >= 0 and start - now > patience then return answer(2, start - now) end
for _, size in ipairs(sizes) do
  if size.capacity > 0 then
    if size.need > 0 then
      size.level = math.min(size.capacity, size.level + math.max(0, start - size.at) * size.rate) - size.need
      size.at = start
    end
    keep(size.name, size.level, size.at, size.capacity, size.rate)
  end
end
if places > 0 then
  redis.call('ZREM', KEYS[3], who)
  redis.call('ZREM', KEYS[4], who)
  redis.call('ZADD', KEYS[2], text(start + hold), who)
  live(KEYS[2], start - now + 2 * hold)
end
return answer(0, start - now)
"""
)

# ARGV: who; then for requests and for tokens: how much comes back, capacity, rate.
GIVE = Script(
    _LEVELS
    + """
for key = 2, 4 do redis.call('ZREM', KEYS[key], ARGV[1]) end
for place, name in ipairs({'requests', 'tokens'}) do
  local amount, capacity, rate = tonumber(ARGV[3 * place - 1]), tonumber(ARGV[3 * place]), tonumber(ARGV[3 * place + 1])
  local level, at = level_of(name, capacity, rate)
  if level and amount ~= 0 then keep(name, math.min(capacity, level + amount), at, capacity, rate) end
end
"""
)

# ARGV: requests or tokens, for how many seconds nothing comes back, capacity, rate.
DRAIN = Script(
    _LEVELS
    + """
local hold, capacity, rate = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local level, at = level_of(ARGV[1], capacity, rate)
if rate > 0 then hold = math.min(hold, capacity / rate) end
keep(ARGV[1], math.min(level or 0, 0), math.max(at or now, now + hold), capacity, rate)
"""
)

# ARGV: seconds, and who still sends.
HOLD_PLACES = Script("""
for number = 2, #ARGV do redis.call('ZADD', KEYS[1], text(now + tonumber(ARGV[1])), ARGV[number]) end
live(KEYS[1], 2 * tonumber(ARGV[1]))
""")

# -- breakers: a hash of the period (its number, state, end, failures and successes in a row, openings in a row); a sorted set of probes
# (until when); a hash of the window's calls and failures by slice.

_PERIOD = """
local held = redis.call('HMGET', KEYS[1], 'number', 'state', 'until', 'failures', 'successes', 'openings')
local period = {number = tonumber(held[1]), state = held[2] or 'closed', ends = tonumber(held[3] or 0), failures = tonumber(held[4] or 0),
  successes = tonumber(held[5] or 0), openings = tonumber(held[6] or 0)}
local function enter(state, ends)
  period.number, period.state, period.ends, period.failures, period.successes = (period.number or 0) + 1, state, ends, 0, 0
  redis.call('DEL', KEYS[2], KEYS[3])
end
local function keep()
  redis.call('HSET', KEYS[1], 'number', period.number, 'state', period.state, 'until', text(period.ends), 'failures', period.failures,
    'successes', period.successes, 'openings', period.openings)
  live(KEYS[1], math.max(0, period.ends - now) + 86400)
end
"""

# ARGV: who, seconds that a probe lasts, probes at once. Returns seconds to wait, number, state, failures, successes, openings.
PROBE = Script(
    _PERIOD
    + """
local wait = 0
if period.state == 'open' then
  wait = math.max(0, period.ends - now)
  if wait == 0 then enter('half_open', 0) keep() end
end
if period.state == 'half_open' then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  if redis.call('ZCARD', KEYS[2]) < tonumber(ARGV[3]) then
    redis.call('ZADD', KEYS[2], text(now + tonumber(ARGV[2])), ARGV[1])
    live(KEYS[2], 2 * tonumber(ARGV[2]))
  else
    wait = math.max(0.001, tonumber(redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]) - now)
  end
end
return {text(wait), period.number or 0, period.state, period.failures, period.successes, period.openings}
"""
)

# ARGV: number of the period the call was let through in, how it ended, who; failures in a row that open it, successes that close it,
# seconds open, at most, and a number by chance; the rate of failures that opens it (0: none), its window's seconds and slices, and
# how many calls it takes at least.
SETTLE_CALL = Script(
    _PERIOD
    + """
local outcome = ARGV[2]
if not period.number then period.number = tonumber(ARGV[1]) end
if period.number ~= tonumber(ARGV[1]) then return end
local function open()
  period.openings = period.openings + 1
  local longest = math.max(tonumber(ARGV[6]), tonumber(ARGV[7]))
  local seconds = math.min(longest, tonumber(ARGV[6]) * 2 ^ math.min(period.openings - 1, 60)) * (1 + tonumber(ARGV[8]))
  enter('open', now + seconds)
end
if period.state == 'half_open' then
  if redis.call('ZREM', KEYS[2], ARGV[3]) == 0 or outcome == 'neutral' then return end
  if outcome == 'failure' then
    open()
  else
    period.successes = period.successes + 1
    if period.successes >= tonumber(ARGV[5]) then
      period.openings = 0
      enter('closed', 0)
    end
  end
  return keep()
end
if period.state ~= 'closed' or outcome == 'neutral' then return end
local failed = outcome == 'failure'
period.failures = failed and period.failures + 1 or 0
local opens = failed and period.failures >= tonumber(ARGV[4])
local rate = tonumber(ARGV[9])
if rate > 0 then
  local slice = math.floor(now * tonumber(ARGV[11]) / tonumber(ARGV[10]))
  redis.call('HINCRBY', KEYS[3], 'calls ' .. slice, 1)
  if failed then redis.call('HINCRBY', KEYS[3], 'failures ' .. slice, 1) end
  live(KEYS[3], 2 * tonumber(ARGV[10]))
  local sums, entries = {calls = 0, failures = 0}, redis.call('HGETALL', KEYS[3])
  for number = 1, #entries, 2 do
    local what, when = string.match(entries[number], '(%a+) (%d+)')
    if tonumber(when) <= slice - tonumber(ARGV[11]) then
      redis.call('HDEL', KEYS[3], entries[number])
    else
      sums[what] = sums[what] + tonumber(entries[number + 1])
    end
  end
  opens = opens or (failed and sums.calls >= tonumber(ARGV[12]) and sums.failures >= rate * sums.calls)
end
if opens then open() end
keep()
"""
)

# -- keys: a hash of moments, by what each is for, and a version that changes with every one of them, and begins with the time, so that
# none comes twice though Redis may have lost the last.

_CHANGED = """
local function changed()
  local version = tonumber(redis.call('HGET', KEYS[1], 'version') or math.floor(now * 1000))
  redis.call('HSET', KEYS[1], 'version', text(version + 1))
end
"""

# ARGV: what it is for, seconds from now, whether an end already set may be brought forward.
REST = Script(
    _CHANGED
    + """
local ends = now + tonumber(ARGV[2])
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and tonumber(held) >= ends and ARGV[3] ~= '1' then return end
if redis.call('HLEN', KEYS[1]) > 2000 then
  local entries = redis.call('HGETALL', KEYS[1])
  for number = 1, #entries, 2 do
    if entries[number] ~= 'version' and tonumber(entries[number + 1]) < now then redis.call('HDEL', KEYS[1], entries[number]) end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], text(ends))
changed()
live(KEYS[1], tonumber(ARGV[2]) + 86400)
"""
)

# ARGV: what is over.
BRING_BACK = Script(
    _CHANGED
    + """
if redis.call('HDEL', KEYS[1], unpack(ARGV)) > 0 then changed() end
"""
)

# ARGV: what the key is out for, seconds that a trial lasts. Returns the seconds to wait, 0 if the asker is the one who tries.
TRY_KEY = Script(
    _CHANGED
    + """
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and tonumber(held) > now then return text(tonumber(held) - now) end
redis.call('HSET', KEYS[1], ARGV[1], text(now + tonumber(ARGV[2])))
changed()
live(KEYS[1], tonumber(ARGV[2]) + 86400)
return '0'
"""
)

# -- the retry quota: a number.

# ARGV: what is added, the capacity, which is also what it begins with, and seconds it is kept.
ADD_TO_QUOTA = Script("""
local left = tonumber(redis.call('GET', KEYS[1]) or ARGV[2]) + tonumber(ARGV[1])
redis.call('SET', KEYS[1], math.max(0, math.min(tonumber(ARGV[2]), left)), 'EX', ARGV[3])
""")

# -- what a call looks at before it begins. KEYS: two breakers, keys, quota. ARGV: the version of the keys that is known.
LOOK = Script("""
local told = {}
for place = 1, 2 do
  local held = redis.call('HMGET', KEYS[place], 'number', 'state', 'until', 'failures', 'successes', 'openings')
  if held[1] then held[3] = text(math.max(0, tonumber(held[3]) - now)) else held = {} end
  told[place] = held
end
local version = redis.call('HGET', KEYS[3], 'version')
told[3] = version or ''
told[4] = {}
if version and version ~= ARGV[1] then
  local entries = redis.call('HGETALL', KEYS[3])
  for number = 1, #entries, 2 do
    if entries[number] ~= 'version' then
      table.insert(told[4], entries[number])
      table.insert(told[4], text(tonumber(entries[number + 1]) - now))
    end
  end
end
told[5] = redis.call('GET', KEYS[4]) or ''
return told
""")

# -- budgets: a hash of what is spent and what is under way; a hash of what each call under way may cost, a sorted set of when it counts
# as spent, and one of those that were settled lately. Amounts are billionths of a dollar.

_LEDGER = """
local function amount(name) return tonumber(redis.call('HGET', KEYS[1], name) or 0) end
local function put(name, value) redis.call('HSET', KEYS[1], name, string.format('%.0f', math.max(0, value))) end
local function over(who)
  local held = redis.call('HGET', KEYS[2], who)
  if not held then return nil end
  redis.call('HDEL', KEYS[2], who)
  redis.call('ZREM', KEYS[3], who)
  put('reserved', amount('reserved') - tonumber(held))
  return tonumber(held)
end
local function settled(who)
  redis.call('ZADD', KEYS[4], text(now), who)
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 600)
  live(KEYS[4], 1200)
end
"""

# ARGV: who, what it may cost, the limit, what was known to be spent, seconds until it counts as spent, seconds that all this is kept.
# Returns 1 if there was so much left, else 0; then what is spent and what is under way.
HOLD_MONEY = Script(
    _LEDGER
    + """
for _, who in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 100)) do
  put('spent', amount('spent') + (over(who) or 0))
  settled(who)
end
local spent, reserved = math.max(amount('spent'), tonumber(ARGV[4])), amount('reserved')
put('spent', spent)
local fits = spent + reserved + tonumber(ARGV[2]) <= tonumber(ARGV[3])
if fits then
  reserved = reserved + tonumber(ARGV[2])
  put('reserved', reserved)
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
  redis.call('ZADD', KEYS[3], text(now + tonumber(ARGV[5])), ARGV[1])
end
for key = 1, 3 do live(KEYS[key], tonumber(ARGV[6])) end
return {fits and 1 or 0, string.format('%.0f', spent), string.format('%.0f', reserved)}
"""
)

# ARGV: who, what it has cost, what was known to be spent, seconds that all this is kept.
SETTLE_MONEY = Script(
    _LEDGER
    + """
if redis.call('ZSCORE', KEYS[4], ARGV[1]) then return end
over(ARGV[1])
put('spent', math.max(amount('spent'), tonumber(ARGV[3])) + tonumber(ARGV[2]))
settled(ARGV[1])
live(KEYS[1], tonumber(ARGV[4]))
"""
)
