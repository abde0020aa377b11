"""Where clients of this process wait for rows to change: a thread asleep each, and three threads that wake them.

One hears from Redis what changed (`models.changes`). One asks the database for all that is waited for, in one query:
seldom while Redis speaks, every second while it does not. One watches the clients' sockets, so that a place is free
again as soon as its client is gone. Nobody who waits holds a connection or a transaction.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from uuid import UUID

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api.hangups import Hangups, Line
from models.changes import CHANNEL
from models.db import session_scope

log = structlog.get_logger(__name__)

PLACES = 2_000  # of this process; gunicorn needs more threads than that
PLACES_EACH = 50  # of one user: nobody takes them all
LOOK_SECONDS = 5.0  # a message may be lost although Redis is there
DEAF_LOOK_SECONDS = 1.0
TICK_SECONDS = 0.5

Versions = Callable[[Session, Collection[UUID]], Mapping[UUID, Hashable]]


class Waiter:
    """One client, the rows that it waits for, and which versions of them it knows."""

    def __init__(self, owner: UUID, ids: Collection[UUID], versions: Versions, line: Line | None) -> None:
        self.owner, self.ids, self.versions, self.line = owner, ids, versions, line
        self.seen: Mapping[UUID, Hashable] = {}
        self.is_gone = False
        self.must_leave = False
        self._stirred = threading.Event()

    def sleep(self, seen: Mapping[UUID, Hashable], seconds: float) -> bool:
        """Until a row may differ from what was `seen`; False when time is over, or it is time to leave."""
        self.seen = seen
        if self.must_leave or not self._stirred.wait(seconds):
            return False
        self._stirred.clear()
        return not self.must_leave

    def stir(self) -> None:
        """Let it look at its rows."""
        self._stirred.set()

    def dismiss(self, *, is_gone: bool = False) -> None:
        """Let it leave, with an answer if there is still somebody to hear it."""
        self.is_gone, self.must_leave = is_gone, True
        self._stirred.set()


class Hub:
    """All waiters of a process. Its threads start with the first one."""

    def __init__(self, redis_url: str, *, places: int = PLACES, places_each: int = PLACES_EACH) -> None:
        self._url = redis_url
        self._places, self._places_each = places, places_each
        self._lock = threading.Lock()
        self._by_id: dict[UUID, set[Waiter]] = {}
        self._by_owner: Counter[UUID] = Counter()
        self._all: set[Waiter] = set()
        self._hangups = Hangups()
        self._look_now = threading.Event()
        self._is_deaf = True
        self._is_serving: Callable[[], bool] = lambda: True
        self._is_closed = False
        self._started = False

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def waiting(
        self, owner: UUID, ids: Collection[UUID], versions: Versions, line: Line | None
    ) -> Iterator[Waiter | None]:
        """A place; None when there is none, for this owner or at all. Take it before looking: nothing is missed then.

        Args:
            owner: the user whose places are counted.
            ids: the rows whose changes end a sleep.
            versions: finds the present versions of rows; those that are gone are left out.
            line: the client's socket, if it is known.
        """
        waiter = Waiter(owner, ids, versions, line)
        if not self._enter(waiter):
            yield None
            return
        try:
            yield waiter
        finally:
            self._leave(waiter)

    def serve_while(self, is_serving: Callable[[], bool]) -> None:
        """Once that is false, dismiss everybody and let nobody in: the process is told to stop."""
        self._is_serving = is_serving

    def close(self) -> None:
        """Dismiss everybody; the threads end soon."""
        with self._lock:
            self._is_closed = True
            for waiter in self._all:
                waiter.dismiss()

    def _enter(self, waiter: Waiter) -> bool:
        with self._lock:
            if self._is_closed or not self._is_serving() or len(self._all) >= self._places:
                return False
            if self._by_owner[waiter.owner] >= self._places_each:
                return False
            self._start()
            self._all.add(waiter)
            self._by_owner[waiter.owner] += 1
            for one in waiter.ids:
                self._by_id.setdefault(one, set()).add(waiter)
        if waiter.line is not None:
            self._hangups.watch(waiter.line, partial(waiter.dismiss, is_gone=True))
        return True

    def _leave(self, waiter: Waiter) -> None:
        if waiter.line is not None:
            self._hangups.forget(waiter.line)
        with self._lock:
            self._all.discard(waiter)
            self._by_owner[waiter.owner] -= 1
            if not self._by_owner[waiter.owner]:
                del self._by_owner[waiter.owner]
            for one in waiter.ids:
                others = self._by_id.get(one)
                if others is not None:
                    others.discard(waiter)
                    if not others:
                        del self._by_id[one]

    def _start(self) -> None:
        """On first use, because threads do not survive the fork of a server's workers."""
        if not self._started:
            self._started = True
            for work in (self._hear, self._look, self._watch):
                threading.Thread(target=work, name=f"hub-{work.__name__.strip('_')}", daemon=True).start()

    def _hear(self) -> None:
        """What Redis says. While it says nothing at all, the database is asked more often."""
        options = {"socket_timeout": 5, "socket_connect_timeout": 1, "health_check_interval": 5}
        client = redis.Redis.from_url(self._url, retry=Retry(NoBackoff(), 0), **options)
        while not self._is_closed:
            try:
                with client.pubsub(ignore_subscribe_messages=False) as changes:
                    changes.subscribe(CHANNEL)
                    while not self._is_closed:
                        self._take(changes.get_message(timeout=TICK_SECONDS))
                        if changes.health_check_response_counter > 1:
                            raise redis.TimeoutError  # it takes what we say and says nothing
            except (redis.RedisError, OSError) as error:
                if not self._is_deaf:
                    log.warning("changes_not_heard", reason=type(error).__name__)
                self._is_deaf = True
                self._look_now.set()
                time.sleep(DEAF_LOOK_SECONDS)

    def _take(self, message: dict[str, object] | None) -> None:
        if message is None:
            return
        if message["type"] == "subscribe":
            self._is_deaf = False
            self._look_now.set()  # what was said before we listened
        elif message["type"] == "message" and isinstance(data := message["data"], bytes):
            ids = (UUID(bytes=data[place : place + 16]) for place in range(0, len(data) - 15, 16))
            with self._lock:
                for one in ids:
                    for waiter in self._by_id.get(one, ()):
                        waiter.stir()

    def _look(self) -> None:
        """Whoever knows another version than the database has is stirred."""
        while not self._is_closed:
            self._look_now.wait(DEAF_LOOK_SECONDS if self._is_deaf else LOOK_SECONDS)
            self._look_now.clear()
            with self._lock:
                waiters = [waiter for waiter in self._all if waiter.seen]
            for versions in {waiter.versions for waiter in waiters}:
                self._compare(versions, [waiter for waiter in waiters if waiter.versions is versions])

    def _compare(self, versions: Versions, waiters: Collection[Waiter]) -> None:
        try:
            with session_scope() as session:
                present = versions(session, {one for waiter in waiters for one in waiter.ids})
        except (DBAPIError, PoolTimeout) as error:
            log.warning("changes_not_looked_up", reason=type(error).__name__, waiters=len(waiters))
            return
        for waiter in waiters:
            if any(present.get(one) != waiter.seen.get(one) for one in waiter.ids):
                waiter.stir()

    def _watch(self) -> None:
        """Sockets that hang up, and the process's end."""
        while not self._is_closed:
            self._hangups.look(TICK_SECONDS)
            if not self._is_serving():
                self.close()
