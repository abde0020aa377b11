"""Tells the API's processes over Redis which rows changed, so that those who wait for them look at once.

A thread of its own sends what gathered meanwhile in one message: no commit and no request ever waits for Redis. What
cannot be sent is dropped, because those who wait also look now and then by themselves.
"""

import threading
import time
from collections.abc import Collection
from uuid import UUID

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from models.changes import CHANNEL

log = structlog.get_logger(__name__)

QUIET_SECONDS = 1.0  # after a failure


class Announcer:
    """One per process; the thread and its one connection are made on first use, after any fork."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._ids: set[UUID] = set()
        self._some = threading.Condition()
        self._thread: threading.Thread | None = None

    def __call__(self, ids: Collection[UUID]) -> None:
        """Send soon."""
        with self._some:
            self._ids.update(ids)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
                self._thread.start()
            self._some.notify()

    def _run(self) -> None:
        options = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": Retry(NoBackoff(), 0)}
        with redis.Redis.from_url(self._url, **options) as client:
            while True:
                with self._some:
                    while not self._ids:
                        self._some.wait()
                    ids, self._ids = self._ids, set()
                try:
                    client.publish(CHANNEL, b"".join(one.bytes for one in ids))
                except Exception as error:  # without this thread nobody would be told of anything any more
                    log.warning("changes_not_told", reason=type(error).__name__, changes=len(ids))
                    time.sleep(QUIET_SECONDS)
