"""What one waiting caller hears from the connection, and the slots that bound how many wait at once.

Everything that a caller waits for (a slot, a connection, an answer, news, the wish to stop) comes through one queue, so
that each of them wakes it at once.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from workers.gateways import openclaw_events as events
from workers.gateways.base import CallFailed
from workers.gateways.openclaw_socket import Link
from workers.gateways.openclaw_types import State, Status

STREAMING_INTERVAL = 0.5


@dataclass(frozen=True)
class Answer:
    """A response to our request `id` on the connection `link`."""

    link: object
    id: str
    frame: Mapping[str, Any]


@dataclass(frozen=True)
class Opened:
    """A connection is there."""

    link: Link


@dataclass(frozen=True)
class Refused:
    """A connection could not be made."""

    error: CallFailed


@dataclass(frozen=True)
class Lost:
    """A connection is gone."""

    link: object


class Told:
    """Wakes the caller without saying more: a slot is free, a cause arrived, somebody wants to stop."""


SLOT, DETAIL, STOP = Told(), Told(), Told()
Item = Answer | Opened | Refused | Lost | Status | Told


class Watch:
    """The inbox of one caller. `put` methods are called by the connection's thread and never block."""

    def __init__(self) -> None:
        self.inbox: SimpleQueue[Item] = SimpleQueue()
        self.detail: Mapping[str, Any] | None = None
        self.over = False
        self._last: Status | None = None
        self._quiet_until = 0.0

    def answer(self, link: object, request_id: str, frame: Mapping[str, Any]) -> None:
        """Take a response in."""
        self.inbox.put(Answer(link, request_id, frame))

    def hear(self, event: str, payload: Mapping[str, Any]) -> None:
        """Take note of an event of this run; only what is new wakes the caller, and a stream twice a second at most."""
        detail = events.error_detail_of(event, payload)
        if detail:
            self.detail = detail
        if detail is not None or events.is_over(event, payload):
            self.over = self.over or events.is_over(event, payload)
            self.inbox.put(DETAIL)
            return
        status = events.status_of(event, payload)
        if status is None or status == self._last:
            return
        if status.state is State.STREAMING:
            now = time.monotonic()
            if now < self._quiet_until:
                return
            self._quiet_until = now + STREAMING_INTERVAL
        self._last = status
        self.inbox.put(status)


class Slots:
    """At most `limit` holders at a time, first come first served; a waiter is told through its watch."""

    def __init__(self, limit: int) -> None:
        self._free = max(1, limit)
        self._waiting: deque[Watch] = deque()
        self._lock = threading.Lock()

    def take(self, watch: Watch) -> bool:
        """Take a slot now (True), or be told `SLOT` when it is this watch's turn."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            self._waiting.append(watch)
            return False

    def leave(self, watch: Watch) -> None:
        """Stop waiting; when the slot was handed over in the meantime it goes to the next one."""
        with self._lock:
            try:
                self._waiting.remove(watch)
                return
            except ValueError:
                pass
        self.release()

    def release(self) -> None:
        """Give the slot back, to the longest waiter if there is one."""
        with self._lock:
            heir = self._waiting.popleft() if self._waiting else None
            if heir is None:
                self._free += 1
        if heir is not None:
            heir.inbox.put(SLOT)
