"""The change notifier of a process: the subscriptions of all waiting clients, and three threads that wake them.

- `receive` gets the ids of changed rows from Redis (`models.changes`).
- `poll` compares the rows of all subscriptions with the database, in one query: rarely while Redis is available, every
  second while it is not.
- `check_credentials` closes, every two seconds, the subscriptions whose session or access key is no longer valid.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

import redis
import structlog
from prometheus_client import Gauge
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

import threads
from api.http.wait import Read, Wait
from models.changes import CHANNEL
from models.db import session_scope
from models.services.accounts.sessions import live_credentials
from tasks.redis_client import connect, reason_of

log = structlog.get_logger(__name__)

MAX_SUBSCRIPTIONS = 2_000  # of this process
MAX_SUBSCRIPTIONS_PER_USER = 50  # so that one user cannot take them all
POLL_SECONDS = 5.0  # while Redis is available, whose messages may still be lost
DISCONNECTED_POLL_SECONDS = 1.0
TICK_SECONDS = 0.5  # within which the threads notice that the notifier was closed
WOKEN_AT_A_TIME, WAKE_PAUSE_SECONDS = 20, 0.01
CREDENTIALS_SECONDS = 2.0  # how often sessions and access keys are checked

WAITING = Gauge(
    "agentforge_waiting_clients",
    "Clients that wait for a change, with a long poll or a stream.",
    multiprocess_mode="livesum",
)

Versions = Callable[[Session, Collection[UUID]], Mapping[UUID, Hashable]]


class ChangeSubscription:
    """A waiting client: its credential, its rows, and the versions of them that it knows."""

    def __init__(self, owner: UUID, credential: UUID, ids: Collection[UUID], versions: Versions) -> None:
        self.owner, self.credential = owner, credential
        self.ids, self.versions = ids, versions
        self.seen: Mapping[UUID, Hashable] = {}
        self.is_disconnected = False
        self.is_signed_out = False
        self.is_closed = False
        self._lock = threading.Lock()
        self._is_woken = False
        self._call: Callable[[], object] | None = None

    def changed(
        self, seen: Mapping[UUID, Hashable], seconds: float, at_least: float = 0.0, then: Read | None = None
    ) -> Wait:
        """A wait until a row may differ from its version in `seen`, and then for `then`, or until this is closed."""
        self.seen = seen
        return Wait(self, seconds, at_least, then)

    def take_wake(self) -> bool:
        """Whether a row may have changed since the last call of this; False once this is closed."""
        with self._lock:
            is_woken, self._is_woken = self._is_woken, False
        return is_woken and not self.is_closed

    def when_woken(self, call: Callable[[], object]) -> None:
        """Call `call` once: now if a row may have changed or this is closed, or when that happens."""
        with self._lock:
            if not self._is_woken and not self.is_closed:
                self._call = call
                return
        call()

    def wake(self) -> None:
        """Let the client read its rows."""
        with self._lock:
            self._is_woken = True
            call, self._call = self._call, None
        if call is not None:
            call()

    def close(self, *, is_disconnected: bool = False, is_signed_out: bool = False) -> None:
        """End the wait; the client gets a response unless it disconnected."""
        self.is_disconnected, self.is_signed_out, self.is_closed = is_disconnected, is_signed_out, True
        self.wake()


class ChangeNotifier:
    """The subscriptions of a process. Its threads start with the first subscription."""

    def __init__(
        self,
        redis_url: str,
        *,
        max_subscriptions: int = MAX_SUBSCRIPTIONS,
        max_per_user: int = MAX_SUBSCRIPTIONS_PER_USER,
    ) -> None:
        self._url = redis_url
        self._max_subscriptions, self._max_per_user = max_subscriptions, max_per_user
        self._lock = threading.Lock()
        self._by_id: dict[UUID, set[ChangeSubscription]] = {}
        self._by_owner: Counter[UUID] = Counter()
        self._all: set[ChangeSubscription] = set()
        self._poll_now = threading.Event()
        self._is_offline, self._has_received = True, False
        self._is_closed = False
        self._closed = threading.Event()
        self._started = False

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def subscribe(
        self, owner: UUID, credential: UUID, ids: Collection[UUID], versions: Versions
    ) -> Iterator[ChangeSubscription | None]:
        """Subscribe to rows; None if the limit of this owner or of the process is reached.

        Subscribe before reading the rows, so that no change is missed.

        Args:
            owner: the user whose subscriptions are counted.
            credential: the id of the client's session or access key; the subscription closes when it becomes invalid.
            ids: the rows whose changes wake the client.
            versions: returns the current versions of rows, without rows that do not exist any more.
        """
        subscription = ChangeSubscription(owner, credential, ids, versions)
        if not self._add(subscription):
            yield None
            return
        try:
            yield subscription
        finally:
            self._remove(subscription)

    def watch(self, subscription: ChangeSubscription, ids: Collection[UUID]) -> bool:
        """Change the rows to which a client is subscribed; returns whether there are new ones among them."""
        with self._lock:
            before, after = set(subscription.ids), set(ids)
            for one in before - after:
                self._forget(one, subscription)
            for one in after - before:
                self._by_id.setdefault(one, set()).add(subscription)
            subscription.ids = after
        return bool(after - before)

    def is_draining(self) -> bool:
        """Whether the process shuts down."""
        return self._is_closed

    def close(self) -> None:
        """Close all subscriptions and accept no more, because the process shuts down; the threads end soon."""
        with self._lock:
            self._is_closed = True
            self._closed.set()
            subscriptions = list(self._all)
        for subscription in subscriptions:
            subscription.close()

    def _add(self, subscription: ChangeSubscription) -> bool:
        with self._lock:
            if self._is_closed or len(self._all) >= self._max_subscriptions:
                return False
            if self._by_owner[subscription.owner] >= self._max_per_user:
                return False
            self._start()
            self._all.add(subscription)
            WAITING.inc()
            self._by_owner[subscription.owner] += 1
            for one in subscription.ids:
                self._by_id.setdefault(one, set()).add(subscription)
        return True

    def _remove(self, subscription: ChangeSubscription) -> None:
        with self._lock:
            self._all.discard(subscription)
            WAITING.dec()
            self._by_owner[subscription.owner] -= 1
            if not self._by_owner[subscription.owner]:
                del self._by_owner[subscription.owner]
            for one in subscription.ids:
                self._forget(one, subscription)

    def _forget(self, one: UUID, subscription: ChangeSubscription) -> None:
        others = self._by_id.get(one)
        if others is not None:
            others.discard(subscription)
            if not others:
                del self._by_id[one]

    def _start(self) -> None:
        """Start the threads on first use, because threads do not survive the fork of a server's workers."""
        if not self._started:
            threads.keep_running("change-receiver", self._receive)
            threads.keep_running("change-poller", self._poll)
            threads.keep_running("credential-checker", self._check_credentials)
            self._started = True

    def _receive(self) -> None:
        """Receive changes from Redis. While it is unavailable, the database is polled more often."""
        options = {"socket_timeout": 5, "socket_connect_timeout": 1, "health_check_interval": 5}
        client = connect(self._url, retry=Retry(NoBackoff(), 0), **options)
        is_first = True
        while not self._is_closed:
            self._has_received = False
            try:
                self._listen(client)
            except (redis.RedisError, OSError) as error:
                if self._has_received or is_first:
                    log.warning("changes.receive_failed", reason=reason_of(error))
                is_first = False
                time.sleep(DISCONNECTED_POLL_SECONDS)

    def _listen(self, client: redis.Redis) -> None:
        try:
            with client.pubsub(ignore_subscribe_messages=False) as changes:
                changes.subscribe(CHANNEL)
                while not self._is_closed:
                    self._dispatch(changes.get_message(timeout=TICK_SECONDS))
                    if changes.health_check_response_counter > 1:
                        raise redis.TimeoutError  # it accepts our checks and does not respond to them
        finally:  # without this connection the database must be polled more often
            self._is_offline = True
            self._poll_now.set()

    def _dispatch(self, message: dict[str, object] | None) -> None:
        if message is None:
            return
        if message["type"] == "subscribe":
            self._is_offline, self._has_received = False, True
            self._poll_now.set()  # finds the changes that were published before we subscribed
        elif message["type"] == "message" and isinstance(data := message["data"], bytes):
            ids = (UUID(bytes=data[offset : offset + 16]) for offset in range(0, len(data) - 15, 16))
            with self._lock:
                subscriptions = [subscription for one in ids for subscription in self._by_id.get(one, ())]
            _wake(subscriptions)

    def _poll(self) -> None:
        """Wake subscriptions that know another version than the database has."""
        while not self._is_closed:
            self._poll_now.wait(DISCONNECTED_POLL_SECONDS if self._is_offline else POLL_SECONDS)
            self._poll_now.clear()
            self._wake_outdated()

    def _wake_outdated(self) -> None:
        with self._lock:
            subscriptions = [subscription for subscription in self._all if subscription.seen]
        for versions in {subscription.versions for subscription in subscriptions}:
            self._compare(
                versions, [subscription for subscription in subscriptions if subscription.versions is versions]
            )

    def _compare(self, versions: Versions, subscriptions: Collection[ChangeSubscription]) -> None:
        try:
            with session_scope() as session:
                present = versions(session, {one for subscription in subscriptions for one in subscription.ids})
        except (DBAPIError, PoolTimeout) as error:
            log.warning("changes.poll_failed", reason=type(error).__name__, waiters=len(subscriptions))
            return
        _wake([one for one in subscriptions if any(present.get(id_) != one.seen.get(id_) for id_ in one.ids)])

    def _check_credentials(self) -> None:
        """Close subscriptions whose session or access key was ended, by any process."""
        while not self._closed.wait(CREDENTIALS_SECONDS):
            with self._lock:
                subscriptions = list(self._all)
            if subscriptions:
                self._close_signed_out(subscriptions)

    def _close_signed_out(self, subscriptions: Collection[ChangeSubscription]) -> None:
        try:
            with session_scope() as session:
                valid = live_credentials(session, {subscription.credential for subscription in subscriptions})
        except (DBAPIError, PoolTimeout) as error:
            log.warning("credentials.check_failed", reason=type(error).__name__, waiters=len(subscriptions))
            return
        for subscription in subscriptions:
            if subscription.credential not in valid:
                subscription.close(is_signed_out=True)


def _wake(subscriptions: Sequence[ChangeSubscription]) -> None:
    """Wake many clients a few at a time, so that the event loop gets to other requests in between."""
    for index, subscription in enumerate(subscriptions, 1):
        subscription.wake()
        if not index % WOKEN_AT_A_TIME:
            time.sleep(WAKE_PAUSE_SECONDS)
