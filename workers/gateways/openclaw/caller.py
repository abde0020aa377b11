"""The blocking side of a turn: slots, connections, requests and responses, interrupted by `cancel` and by deadlines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Empty
from types import TracebackType
from typing import Any, Self

from workers.gateways.base import Cancel, Deadline
from workers.gateways.openclaw import classify
from workers.gateways.openclaw.classify import Cause
from workers.gateways.openclaw.connection import GatewayConnection, LinkLost
from workers.gateways.openclaw.contract import OnStatus, RunRef, State, Status
from workers.gateways.openclaw.inbox import SLOT, STOP, ConnectRefused, Inbox, Item, Lost, Opened, ResponseFrame, Slots
from workers.gateways.openclaw.shared_connection import SharedConnection

Payload = Mapping[str, Any]
FINAL = (classify.LOCKED_OUT.code, classify.CLOSED.code)  # retryable, but not by waiting in this call


@dataclass(frozen=True)
class Tuning:
    """Times in seconds; tests shorten them."""

    grace: float = 30.0  # how long the gateway may take to end a run after the run's own timeout
    connect_timeout: float = 60.0  # for a gateway that is away, starting, or draining
    abort: float = 2.0  # for the response to `sessions.abort`
    rpc: float = 10.0  # for any other response
    wait: float = 30.0  # one `agent.wait`
    cause: float = 0.4  # for the event with the cause, when the error response came first
    pause: float = 0.1  # between polls of a run that is just ending


class TurnStopped(Exception):
    """`cancel` was set, or a deadline passed."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.code)
        self.cause = cause


class TurnCaller:
    """One blocked thread's view of the shared connection.

    A context manager: inside it the thread receives its run's events and `cancel`.
    """

    def __init__(
        self,
        shared: SharedConnection,
        ref: RunRef,
        *,
        cancel: Cancel,
        on_status: OnStatus,
        deadline: Deadline | None,
        tuning: Tuning,
    ) -> None:
        self.shared, self.ref, self.cancel, self.on_status, self.tuning = shared, ref, cancel, on_status, tuning
        self.inbox = Inbox()
        self.connection: GatewayConnection | None = None
        self.accepted = False
        self.stopping = False
        self.final: ResponseFrame | None = None  # the run's last response, when it came during another request
        self.run_deadline: Deadline | None = None
        self._deadline = deadline
        self._open: list[tuple[GatewayConnection, str]] = []
        self._unset: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self.shared.follow(self.ref.key, self.inbox)
        self._unset = self.cancel.on_set(lambda: self.inbox.inbox.put(STOP))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._unset is not None:
            self._unset()
        self.shared.unfollow(self.ref.key, self.inbox)
        for link, request_id in self._open:
            link.forget(request_id)

    def next(self, within: Deadline | None = None) -> Item | None:
        """Return the next item, or None when `within` passed; reports statuses on the way. Raises `TurnStopped`."""
        while True:
            if not self.stopping:
                self.check()
            try:
                item = self.inbox.inbox.get(timeout=self._timeout(within))
            except Empty:
                if within is not None and within.passed:
                    return None
                continue
            if isinstance(item, Status):
                self.report_status(item)
            elif item is not STOP:
                return item

    def _timeout(self, within: Deadline | None) -> float | None:
        limits = (within,) if self.stopping else (within, self._deadline, self.run_deadline)
        return min((limit.remaining for limit in limits if limit is not None), default=None)

    def check(self) -> None:
        """Raise `TurnStopped` when `cancel` is set or a deadline passed."""
        if self.cancel.is_set:
            raise TurnStopped(classify.CANCELLED)
        if any(limit is not None and limit.passed for limit in (self._deadline, self.run_deadline)):
            raise TurnStopped(classify.TIMEOUT)

    def report_status(self, status: Status) -> None:
        """Pass a status on to `on_status`."""
        self.on_status(status)

    def pause(self, seconds: float) -> None:
        """Sleep, but wake for `cancel` and deadlines; items that arrive meanwhile are outdated and dropped."""
        until = Deadline(seconds)
        while self.next(until) is not None:
            pass

    def take_slot(self, slots: Slots) -> None:
        """Wait for a slot; raises `CallFailed` when cancelled or out of time."""
        if slots.take(self.inbox):
            return
        try:
            self.on_status(Status(State.QUEUED, {"for": "slot"}))
            while self.next() is not SLOT:
                pass
        except BaseException as stop:
            slots.leave(self.inbox)
            if isinstance(stop, TurnStopped):
                raise (classify.NO_SLOT if stop.cause is classify.TIMEOUT else stop.cause).failure() from None
            raise

    def connect(self, timeout: Deadline) -> GatewayConnection:
        """Return the current connection, waiting up to `timeout` for it; raises `CallFailed`."""
        reported = False
        while True:
            verdict = self._verdict()
            if isinstance(verdict, Opened):
                self.connection = verdict.connection
                return verdict.connection
            failure = verdict.error
            after = min(failure.retry_after or 0.0, 0.5)
            if not failure.retryable or failure.code in FINAL or timeout.remaining <= after:
                raise failure
            if not reported and not self.stopping:
                self.on_status(Status(State.QUEUED, {"for": "connection", "code": failure.code}))
                reported = True
            self.pause(after)

    def _verdict(self) -> Opened | ConnectRefused:
        self.shared.want(self.inbox)
        while True:
            item = self.next()
            if isinstance(item, Opened | ConnectRefused):
                return item

    def send(self, link: GatewayConnection, method: str, params: Payload) -> str:
        """Send a request whose responses come to this caller until it exits; raises `LinkLost` or `CallFailed`."""
        request_id = link.request(method, params, self.inbox.put_response)
        self._open.append((link, request_id))
        return request_id

    def ask(self, link: GatewayConnection, method: str, params: Payload, within: float) -> Payload:
        """Send a request with one response; raises `LinkLost` (also when no response comes) or `CallFailed`."""
        frame = self.answer_to(link, self.send(link, method, params), Deadline(within))
        if frame is None:
            raise LinkLost
        if not frame.frame.get("ok"):
            raise classify.refusal(frame.frame.get("error") or {})
        return payload_of(frame)

    def answer_to(self, link: GatewayConnection, request_id: str, within: Deadline | None) -> ResponseFrame | None:
        """Return the next response to this request; a response of the run that comes before is kept in `final`."""
        while (item := self.next(within)) is not None:
            if isinstance(item, Lost) and item.connection is link:
                raise LinkLost
            if isinstance(item, ResponseFrame) and item.connection is link:
                if item.id == request_id:
                    return item
                self.note(item)
        return None

    def note(self, frame: ResponseFrame) -> None:
        """Keep a response of the run that came during another request."""
        if payload_of(frame).get("status") == "accepted":
            self.accepted = True
        else:
            self.final = frame


def payload_of(frame: ResponseFrame) -> Payload:
    """The payload of a response, empty when there is none."""
    payload = frame.frame.get("payload")
    return payload if isinstance(payload, dict) else {}
