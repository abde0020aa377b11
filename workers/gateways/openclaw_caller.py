"""The waiting half of a turn: slots, links, requests and responses, all cut short by `cancel` and by deadlines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Empty
from types import TracebackType
from typing import Any, Self

from workers.gateways import openclaw_classify as classify
from workers.gateways.base import Cancel, Deadline
from workers.gateways.openclaw_classify import Cause
from workers.gateways.openclaw_line import Line
from workers.gateways.openclaw_socket import Link, LinkLost
from workers.gateways.openclaw_types import OnStatus, RunRef, State, Status
from workers.gateways.openclaw_watch import SLOT, STOP, Answer, Item, Lost, Opened, Refused, Slots, Watch

Payload = Mapping[str, Any]
FINAL = (classify.LOCKED_OUT.code, classify.CLOSED.code)  # waiting here does not help, another time may


@dataclass(frozen=True)
class Tuning:
    """Times in seconds, apart so that tests need not wait for them."""

    grace: float = 30.0  # how long after its own timeout the gateway may still be busy ending a run
    patience: float = 60.0  # for a gateway that is away, starting, or draining
    abort: float = 2.0  # for an answer to `sessions.abort`
    rpc: float = 10.0  # for any other answer
    wait: float = 30.0  # one `agent.wait`
    cause: float = 0.4  # for the event that says why, when the response came first
    pause: float = 0.1  # between looks at a run that is just ending


class Stopped(Exception):
    """Somebody set `cancel`, or a deadline passed."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.code)
        self.cause = cause


class Caller:
    """One blocked thread's view of the line.

    A context manager: inside it the thread hears its run's events and `cancel`.
    """

    def __init__(
        self,
        line: Line,
        ref: RunRef,
        *,
        cancel: Cancel,
        on_status: OnStatus,
        deadline: Deadline | None,
        tuning: Tuning,
    ) -> None:
        self.line, self.ref, self.cancel, self.on_status, self.tuning = line, ref, cancel, on_status, tuning
        self.watch = Watch()
        self.link: Link | None = None
        self.accepted = False
        self.stopping = False
        self.final: Answer | None = None  # the run's last response, when it came while something else was asked
        self.run_deadline: Deadline | None = None
        self._deadline = deadline
        self._open: list[tuple[Link, str]] = []
        self._unset: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self.line.follow(self.ref.key, self.watch)
        self._unset = self.cancel.on_set(lambda: self.watch.inbox.put(STOP))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._unset is not None:
            self._unset()
        self.line.unfollow(self.ref.key, self.watch)
        for link, request_id in self._open:
            link.forget(request_id)

    def next(self, within: Deadline | None = None) -> Item | None:
        """The next item for the caller; None when `within` passed; raises `Stopped`. News is passed on from here."""
        while True:
            if not self.stopping:
                self.check()
            try:
                item = self.watch.inbox.get(timeout=self._timeout(within))
            except Empty:
                if within is not None and within.passed:
                    return None
                continue
            if isinstance(item, Status):
                self.tell(item)
            elif item is not STOP:
                return item

    def _timeout(self, within: Deadline | None) -> float | None:
        limits = (within,) if self.stopping else (within, self._deadline, self.run_deadline)
        return min((limit.remaining for limit in limits if limit is not None), default=None)

    def check(self) -> None:
        """Raise `Stopped` when nobody wants the answer any more."""
        if self.cancel.is_set:
            raise Stopped(classify.CANCELLED)
        if any(limit is not None and limit.passed for limit in (self._deadline, self.run_deadline)):
            raise Stopped(classify.TIMEOUT)

    def tell(self, status: Status) -> None:
        """Pass news on to whoever called."""
        self.on_status(status)

    def pause(self, seconds: float) -> None:
        """Sleep, but wake for `cancel` and deadlines; what arrives meanwhile is stale."""
        until = Deadline(seconds)
        while self.next(until) is not None:
            pass

    def take_slot(self, slots: Slots) -> None:
        """Wait for a slot; raises `CallFailed` when the wait is in vain."""
        if slots.take(self.watch):
            return
        try:
            self.on_status(Status(State.QUEUED, {"for": "slot"}))
            while self.next() is not SLOT:
                pass
        except BaseException as stop:
            slots.leave(self.watch)
            if isinstance(stop, Stopped):
                raise (classify.NO_SLOT if stop.cause is classify.TIMEOUT else stop.cause).failure() from None
            raise

    def connect(self, patience: Deadline) -> Link:
        """The current link, however long (up to `patience`) it takes; raises `CallFailed`."""
        told = False
        while True:
            verdict = self._verdict()
            if isinstance(verdict, Opened):
                self.link = verdict.link
                return verdict.link
            failure = verdict.error
            after = min(failure.retry_after or 0.0, 0.5)
            if not failure.retryable or failure.code in FINAL or patience.remaining <= after:
                raise failure
            if not told and not self.stopping:
                self.on_status(Status(State.QUEUED, {"for": "connection", "code": failure.code}))
                told = True
            self.pause(after)

    def _verdict(self) -> Opened | Refused:
        self.line.want(self.watch)
        while True:
            item = self.next()
            if isinstance(item, Opened | Refused):
                return item

    def send(self, link: Link, method: str, params: Payload) -> str:
        """Send a request whose responses come to this caller until it leaves; raises `LinkLost` or `CallFailed`."""
        request_id = link.request(method, params, self.watch.answer)
        self._open.append((link, request_id))
        return request_id

    def ask(self, link: Link, method: str, params: Payload, within: float) -> Payload:
        """One request with one response; raises `LinkLost` (also when no answer comes), or `CallFailed`."""
        answer = self.answer_to(link, self.send(link, method, params), Deadline(within))
        if answer is None:
            raise LinkLost
        if not answer.frame.get("ok"):
            raise classify.refusal(answer.frame.get("error") or {})
        return payload_of(answer)

    def answer_to(self, link: Link, request_id: str, within: Deadline | None) -> Answer | None:
        """The next response to this request; the run's own, when it comes instead, is kept in `final`."""
        while (item := self.next(within)) is not None:
            if isinstance(item, Lost) and item.link is link:
                raise LinkLost
            if isinstance(item, Answer) and item.link is link:
                if item.id == request_id:
                    return item
                self.note(item)
        return None

    def note(self, answer: Answer) -> None:
        """Keep a response of the run that came while something else was asked."""
        if payload_of(answer).get("status") == "accepted":
            self.accepted = True
        else:
            self.final = answer


def payload_of(answer: Answer) -> Payload:
    """The payload of a response, empty when there is none."""
    payload = answer.frame.get("payload")
    return payload if isinstance(payload, dict) else {}
