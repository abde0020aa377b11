"""Storage of rate limits in Redis with one round trip per limit: the counting script also returns the window's end.

The library queries Redis twice more for the headers of the response; here the request keeps the script's result.
"""

import time
from typing import Any, ClassVar

from flask import g
from limits.storage import RedisStorage
from redis.exceptions import NoScriptError

from tasks.redis_client import connect
from variables import REDIS_SCHEMES

PREFIX = "remembered+"  # of the address of a Redis

_COUNT = """
local count = redis.call('incrby', KEYS[1], ARGV[2])
if count == tonumber(ARGV[2]) then
    redis.call('expire', KEYS[1], ARGV[1])
end
return {count, redis.call('pttl', KEYS[1])}
"""


class RememberedStorage(RedisStorage):
    """A Redis storage that keeps counts for the rest of the request; usable only in requests."""

    STORAGE_SCHEME: ClassVar[list[str]] = [PREFIX + scheme for scheme in REDIS_SCHEMES]  # type: ignore[misc]  # the library has no ClassVar

    def __init__(self, uri: str, **options: Any) -> None:
        url = uri.removeprefix(PREFIX)
        pool = connect(url, **options).connection_pool
        super().__init__("redis://", connection_pool=pool)
        self._count = self.storage.register_script(_COUNT)

    def _counted(self, *asked: str | int) -> tuple[int, int]:
        """Run the script without the client's work around a command, which takes longer than the command itself.

        Returns:
            The count, and the milliseconds until the window ends.
        """
        pool = self.storage.connection_pool
        entry = pool.get_connection()
        try:
            entry.send_command("EVALSHA", self._count.sha, 1, *asked)
            count, milliseconds = entry.read_response()
        except NoScriptError:  # Redis was restarted
            count, milliseconds = self._count([asked[0]], asked[1:])
        finally:
            pool.release(entry)
        return count, milliseconds

    def count(self, key: str, expiry: int, amount: int = 1) -> tuple[int, float]:
        """Count; return the number in this window, and when it ends, in seconds since the epoch."""
        count, milliseconds = self._counted(self.prefixed_key(key), expiry, amount)
        return count, time.time() + max(0, milliseconds) / 1000

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
