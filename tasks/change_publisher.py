"""Publishes the ids of changed rows over Redis, so that API processes whose clients wait for them poll at once.

One thread sends the first id at once and then, in one message after another, those that gather meanwhile; so no commit
and no request waits for Redis. Ids that cannot be sent are dropped, because waiting clients also poll now and then.
"""

import threading
import time
from collections.abc import Collection
from uuid import UUID

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

import threads
from models.changes import CHANNEL
from tasks.redis_client import connect, reason_of

log = structlog.get_logger(__name__)

GATHER_SECONDS = 0.03  # between messages: a run may commit a hundred times in a second
QUIET_SECONDS = 1.0  # after a failure


class RedisChangePublisher:
    """Publishes changed ids for one process; its thread and its connection are made on first use, after any fork."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._ids: set[UUID] = set()
        self._some = threading.Condition()
        self._thread: threading.Thread | None = None

    def __call__(self, ids: Collection[UUID]) -> None:
        """Queue the ids for sending; returns at once."""
        with self._some:
            self._ids.update(ids)
            if self._thread is None:
                try:
                    self._thread = threads.keep_running("change-publisher", self._run)
                except RuntimeError as error:  # the system allows no more threads; the next change tries again
                    log.warning("changes.publish_failed", reason=str(error), changes=len(self._ids))
                    self._ids.clear()
            self._some.notify()

    def _run(self) -> None:
        options = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": Retry(NoBackoff(), 0)}
        with connect(self._url, **options) as client:
            while True:
                with self._some:
                    while not self._ids:
                        self._some.wait()
                    ids, self._ids = self._ids, set()
                try:
                    client.publish(CHANNEL, b"".join(one.bytes for one in ids))
                except (redis.RedisError, OSError) as error:
                    log.warning("changes.publish_failed", reason=reason_of(error), changes=len(ids))
                    time.sleep(QUIET_SECONDS)
                else:
                    time.sleep(GATHER_SECONDS)
