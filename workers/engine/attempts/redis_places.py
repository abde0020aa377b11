"""Places of concurrency limits in Redis: who holds how many, who wants more, and what is known of each limit.

One hash for each limit. A process's entry expires with its lease, so the places of a killed one come back. A free place
goes to the process that holds the fewest and, among these, has waited longest, as in `models.fair_slots`.
"""

import json
from collections.abc import Mapping

import redis

from workers.engine.attempts.provider_queue import Demand, Grant
from workers.engine.values.queued_calls import LimitKey

SHORT_SECONDS = 2.0  # after which a process that asked for more places, and not again, no longer goes before others
KEPT_SECONDS = 600  # for which what is known of a limit is kept

_CLAIM = """
local me, held, wanted = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local maximum, limit, grown = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local cut, pause, lease, short_for = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000  -- milliseconds

local known = redis.call('HGET', KEYS[1], 'limit')
if known then limit = tonumber(known) + grown end
if cut > 0 then limit = math.min(limit, cut) end
limit = math.max(1, math.min(limit, maximum))
local paused = math.max(tonumber(redis.call('HGET', KEYS[1], 'paused') or '0'), now + pause)

local elsewhere, short, present, since = 0, {}, {}, now
local fields = redis.call('HGETALL', KEYS[1])
for at = 1, #fields, 2 do
  local name = string.match(fields[at], '^process:(.*)')
  if name then
    local entry = cjson.decode(fields[at + 1])
    if entry['until'] < now then
      redis.call('HDEL', KEYS[1], fields[at])
    elseif name == me then
      since = entry.since
    else
      present[name] = true
      elsewhere = elsewhere + entry.held
      if entry.wanted > entry.held and entry.asked > now - short_for then short[#short + 1] = entry end
    end
  end
end
for name, turns in pairs(cjson.decode(ARGV[11])) do  -- of processes that have no entry
  if name ~= me and not present[name] then elsewhere = elsewhere + turns end
end

local free = math.floor(limit) - elsewhere - held
while held < wanted and free > 0 do
  local before = 0  -- places for those who come first
  for _, other in ipairs(short) do
    if other.held < held or (other.held == held and other.since < since) then
      before = before + math.max(1, math.min(other.wanted, held) - other.held)
    end
  end
  if free <= before then break end
  held, free, since = held + 1, free - 1, now
end
if held >= wanted then since = now end

if wanted == 0 then
  redis.call('HDEL', KEYS[1], 'process:' .. me)
else
  local entry = {held = held, wanted = wanted, since = since, asked = now}
  entry['until'] = now + lease
  redis.call('HSET', KEYS[1], 'process:' .. me, cjson.encode(entry))
end
redis.call('HSET', KEYS[1], 'limit', limit, 'paused', paused)
redis.call('EXPIRE', KEYS[1], ARGV[12])
return {held, elsewhere, tostring(limit), paused - now, #short}
"""


class RedisPlaces:
    """The places of one process. Raises `redis.RedisError` or `OSError` while Redis is unreachable."""

    def __init__(self, client: redis.Redis, *, process: str, lease_seconds: float) -> None:
        self._claim = client.register_script(_CLAIM)
        self._process = process
        self._lease_seconds = lease_seconds

    def claim(self, key: LimitKey, demand: Demand, turns: Mapping[str, int]) -> Grant:
        """Renew the places that this process holds, and ask for those that it wants.

        Args:
            turns: open turns by process, as the rows say, for processes that have no entry here.
        """
        values = (
            self._process,
            demand.held,
            demand.wanted,
            demand.maximum,
            demand.limit,
            demand.grown,
            demand.cut_to or 0,
            int(1000 * demand.pause),
            int(1000 * self._lease_seconds),
            int(1000 * SHORT_SECONDS),
            json.dumps(dict(turns)),
            KEPT_SECONDS,
        )
        name = f"agentforge:places:{key.provider}:{key.owner or ''}"
        held, elsewhere, limit, pause, short = self._claim(keys=[name], args=values)
        return Grant(int(held), int(elsewhere), float(limit), max(0, int(pause)) / 1000, contested=short > 0)
