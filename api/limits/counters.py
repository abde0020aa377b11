"""Storage of rate limits in Redis with one round trip: the counting script also returns the end of each window.

The library queries Redis twice more for the headers of the response; here the request keeps the script's result.
"""

import time
from collections.abc import Sequence
from typing import Any, ClassVar

from flask import g
from limits.storage import RedisStorage
from redis.exceptions import NoScriptError

from tasks.redis_client import connect
from variables import REDIS_SCHEMES

PREFIX = "remembered+"  # of the address of a Redis

_COUNT = """
local found = {}
for index, key in ipairs(KEYS) do
    local expiry, amount = ARGV[2 * index - 1], ARGV[2 * index]
    local count = redis.call('incrby', key, amount)
    if count == tonumber(amount) then
        redis.call('expire', key, expiry)
    end
    found[2 * index - 1], found[2 * index] = count, redis.call('pttl', key)
end
return found
"""


class RememberedStorage(RedisStorage):
    """A Redis storage that keeps counts for the rest of the request; usable only in requests."""

    STORAGE_SCHEME: ClassVar[list[str]] = [PREFIX + scheme for scheme in REDIS_SCHEMES]  # type: ignore[misc]  # the library has no ClassVar

    def __init__(self, uri: str, **options: Any) -> None:
        url = uri.removeprefix(PREFIX)
        pool = connect(url, **options).connection_pool
        super().__init__("redis://", connection_pool=pool)
        self._count = self.storage.register_script(_COUNT)

    def count(self, key: str, expiry: int, amount: int = 1) -> tuple[int, float]:
        """Count; return the number in this window, and when it ends, in seconds since the epoch."""
        return self.count_many([(key, expiry)], amount)[0]

    def count_many(self, asked: Sequence[tuple[str, int]], amount: int = 1) -> list[tuple[int, float]]:
        """Count each key, in order, in one round trip; `asked` are keys and the seconds of their windows.

        The script runs without the client's work around a command, which takes longer than the command itself.
        """
        keys = [self.prefixed_key(key) for key, _ in asked]
        options = [value for _, expiry in asked for value in (expiry, amount)]
        pool = self.storage.connection_pool
        entry = pool.get_connection()
        try:
            entry.send_command("EVALSHA", self._count.sha, len(keys), *keys, *options)
            found = entry.read_response()
        except NoScriptError:  # Redis was restarted
            found = self._count(keys, options)
        finally:
            pool.release(entry)
        now = time.time()
        return [(count, now + max(0, left) / 1000) for count, left in zip(found[::2], found[1::2], strict=True)]

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, and return the number in this window."""
        found = self._known()[key] = self.count(key, expiry, amount)
        return found[0]

    def get(self, key: str) -> int:
        """The number in this window, as this request counted it."""
        known = self._known().get(key)
        return known[0] if known else super().get(key)

    def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since the epoch."""
        known = self._known().get(key)
        return known[1] if known else super().get_expiry(key)

    def _known(self) -> dict[str, tuple[int, float]]:
        counts: dict[str, tuple[int, float]] = g.setdefault("counts", {})
        return counts
