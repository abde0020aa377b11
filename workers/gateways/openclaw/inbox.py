"""The inbox of one waiting caller, and the slots that bound how many turns run at once.

Everything that a caller waits for (a slot, a connection, a response, a status, a request to stop) comes through one
queue, so that each of them wakes it at once.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from workers.gateways.base import CallFailed
from workers.gateways.openclaw import events
from workers.gateways.openclaw.connection import GatewayConnection
from workers.gateways.openclaw.contract import State, Status

STREAMING_INTERVAL = 0.5


@dataclass(frozen=True)
class ResponseFrame:
    """A response to our request `id` on `connection`."""

    connection: object
    id: str
    frame: Mapping[str, Any]


@dataclass(frozen=True)
class Opened:
    """A connection was opened."""

    connection: GatewayConnection


@dataclass(frozen=True)
class ConnectRefused:
    """A connection could not be opened."""

    error: CallFailed


@dataclass(frozen=True)
class Lost:
    """A connection was lost."""

    connection: object


class InboxEvent:
    """A wake-up without data: a slot is free, a cause arrived, or a stop is requested."""


SLOT, DETAIL, STOP = InboxEvent(), InboxEvent(), InboxEvent()
Item = ResponseFrame | Opened | ConnectRefused | Lost | Status | InboxEvent


class Inbox:
    """The inbox of one caller; the connection's thread calls the `put` methods, which never block."""

    def __init__(self) -> None:
        self.inbox: SimpleQueue[Item] = SimpleQueue()
        self.detail: Mapping[str, Any] | None = None
        self.over = False
        self._last: Status | None = None
        self._quiet_until = 0.0

    def put_response(self, link: object, request_id: str, frame: Mapping[str, Any]) -> None:
        """Add a response."""
        self.inbox.put(ResponseFrame(link, request_id, frame))

    def put(self, event: str, payload: Mapping[str, Any]) -> None:
        """Record an event of this run; only new statuses wake the caller, streaming at most twice a second."""
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
    """At most `limit` holders at a time, first come first served; a waiter is notified through its inbox."""

    def __init__(self, limit: int) -> None:
        self._free = max(1, limit)
        self._waiting: deque[Inbox] = deque()
        self._lock = threading.Lock()

    def take(self, inbox: Inbox) -> bool:
        """Take a slot now (True), or queue for one and get `SLOT` in the inbox (False)."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            self._waiting.append(inbox)
            return False

    def leave(self, inbox: Inbox) -> None:
        """Stop waiting; a slot that was assigned in the meantime goes to the next waiter."""
        with self._lock:
            try:
                self._waiting.remove(inbox)
                return
            except ValueError:
                pass
        self.release()

    def release(self) -> None:
        """Return the slot, to the longest waiter if there is one."""
        with self._lock:
            next_waiter = self._waiting.popleft() if self._waiting else None
            if next_waiter is None:
                self._free += 1
        if next_waiter is not None:
            next_waiter.inbox.put(SLOT)
