"""Counts in Redis with one round trip per limit: the script that counts also says when the window ends.

The library asks twice more to tell the caller what is left; here the request remembers what it was told.
"""

import time
from typing import Any, ClassVar

from flask import g
from limits.storage import RedisStorage
from redis.exceptions import NoScriptError

PREFIX = "remembered+"  # before the address of a Redis

_COUNT = """
local count = redis.call('incrby', KEYS[1], ARGV[2])
if count == tonumber(ARGV[2]) then
    redis.call('expire', KEYS[1], ARGV[1])
end
return {count, redis.call('pttl', KEYS[1])}
"""


class RememberedStorage(RedisStorage):
    """Only inside of requests."""

    STORAGE_SCHEME: ClassVar[list[str]] = [PREFIX + scheme for scheme in ("redis", "rediss", "redis+unix")]

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri.removeprefix(PREFIX), **options)
        self._count = self.storage.register_script(_COUNT)

    def _counted(self, *asked: str | int) -> tuple[int, int]:
        """What the script answers; what the client does around a command takes longer than the command."""
        pool = self.storage.connection_pool
        line = pool.get_connection()
        try:
            line.send_command("EVALSHA", self._count.sha, 1, *asked)
            count, milliseconds = line.read_response()
        except NoScriptError:  # a store that was started anew
            count, milliseconds = self._count([asked[0]], asked[1:])
        finally:
            pool.release(line)
        return count, milliseconds

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, and answer how many there are in this window."""
        count, milliseconds = self._counted(self.prefixed_key(key), expiry, amount)
        self._known()[key] = count, time.time() + max(0, milliseconds) / 1000
        return count

    def get(self, key: str) -> int:
        """How many there are, as this request heard it."""
        known = self._known().get(key)
        return known[0] if known else super().get(key)

    def get_expiry(self, key: str) -> float:
        """When the window ends."""
        known = self._known().get(key)
        return known[1] if known else super().get_expiry(key)

    def _known(self) -> dict[str, tuple[int, float]]:
        counts: dict[str, tuple[int, float]] = g.setdefault("counts", {})
        return counts
