"""One turn over the shared connection, from the first frame to the result, through lost connections and restarts.

Guarantees: the same key is sent for one attempt however often the connection breaks, nothing is sent before `on_start`
returned, and a turn that may have happened ends as `unknown`, never as `failed`.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from models.rules.graph.effects import AgentTurn, TextResult
from workers.gateways.base import CallFailed, Cancel, Deadline
from workers.gateways.openclaw import classify, ledger
from workers.gateways.openclaw.caller import Payload, Tuning, TurnCaller, TurnStopped, payload_of
from workers.gateways.openclaw.classify import Cause
from workers.gateways.openclaw.connection import GatewayConnection, LinkLost
from workers.gateways.openclaw.contract import OnStart, OnStatus, RunRef, State, Status
from workers.gateways.openclaw.inbox import Lost, ResponseFrame
from workers.gateways.openclaw.shared_connection import SharedConnection


class RunNotKnownYet(Exception):
    """The gateway refused the request before anything ran, and says that a repeat may succeed."""

    def __init__(self, failure: CallFailed) -> None:
        super().__init__(failure.code)
        self.failure = failure
        self.after = failure.retry_after or 1.0


class TurnSession(TurnCaller):
    """A caller that runs one turn; used by its own thread only."""

    def __init__(
        self,
        shared: SharedConnection,
        ref: RunRef,
        turn: AgentTurn,
        frame: Mapping[str, Any],
        *,
        cancel: Cancel,
        on_status: OnStatus,
        deadline: Deadline | None,
        tuning: Tuning,
    ) -> None:
        super().__init__(shared, ref, cancel=cancel, on_status=on_status, deadline=deadline, tuning=tuning)
        self.turn, self.frame = turn, frame
        self.sent = False
        self.timeout: Deadline | None = None  # the turn's own, once it runs
        self.stopped_one = False  # whether the gateway says that it stopped something

    def begin(self, on_start: OnStart) -> TextResult:
        """Store the reference with `on_start`, send the turn, and follow it to its end."""
        return self._stoppable(lambda: self._begin(on_start))

    def resume(self, link: GatewayConnection) -> TextResult:
        """Follow a run that a dead worker started."""
        self.sent = self.accepted = True
        return self._stoppable(lambda: self._follow(link))

    def report_status(self, status: Status) -> None:
        """Pass a status on; the run's time limit starts when it runs, not while the gateway queues it."""
        if status.state is State.RUNNING and self.timeout is None:  # repeated for each of the gateway's own retries
            self.timeout = Deadline(self.turn.timeout)
            self._start_clock()
        if status.state is State.RETRYING and self.timeout is not None:
            self.run_deadline = self.timeout  # between two tries the grace does not apply
        super().report_status(status)

    def _start_clock(self) -> None:
        self.run_deadline = Deadline(self.turn.timeout + self.tuning.grace)

    def _stoppable(self, work: Callable[[], TextResult]) -> TextResult:
        try:
            return work()
        except TurnStopped as stop:
            return self._stop(stop.cause)

    def _begin(self, on_start: OnStart) -> TextResult:
        timeout = Deadline(self.tuning.connect_timeout)
        announced: str | None = None
        while True:
            link = self.connect(timeout)
            if link.boot_id != announced:
                announced = link.boot_id
                self.ref = replace(self.ref, boot_id=announced)
                on_start(self.ref.as_json())
                self.check()
                continue  # the link may have gone while the announcement was being stored
            try:
                return self._follow(link)
            except RunNotKnownYet as refused:
                if timeout.remaining <= refused.after:
                    raise refused.failure from None
                self.sent, self.run_deadline, self.timeout = False, None, None
                self.on_status(Status(State.QUEUED, {"for": "gateway", "code": refused.failure.code}))
                self.pause(refused.after)

    def _follow(self, link: GatewayConnection) -> TextResult:
        replayed = self.accepted
        while True:
            try:
                if link.boot_id != self.ref.boot_id:
                    return self.settle(link)
                return self._exchange(link, replayed=replayed)
            except LinkLost:
                self.final = None
            except RunNotKnownYet as refused:
                if not replayed and not self.accepted:
                    raise
                self.pause(refused.after)
            replayed = True
            link = self._again()

    def _again(self) -> GatewayConnection:
        try:
            return self.connect(Deadline(self.tuning.connect_timeout))
        except CallFailed as failure:
            raise classify.LOST.failure(quote=failure.code) from failure

    def _exchange(self, link: GatewayConnection, *, replayed: bool) -> TextResult:
        if self.run_deadline is None:
            self._start_clock()
        self.sent = True
        request_id = self.send(link, "agent", self.frame)
        while True:
            frame = self.answer_to(link, request_id, None)
            if frame is None:
                raise LinkLost
            if not frame.frame.get("ok"):
                return self._refused(link, frame.frame.get("error") or {}, replayed=replayed)
            payload = payload_of(frame)
            if payload.get("status") == "accepted":
                self.accepted = True
                self.on_status(Status(State.ACCEPTED))
            elif payload.get("status") == "in_flight":
                self._wait_for_end(link)
                request_id = self.send(link, "agent", self.frame)
            else:
                detail = self._detail() if payload.get("status") == "error" else None
                return classify.final_answer(payload, detail)

    def _wait_for_end(self, link: GatewayConnection) -> None:
        """Poll for the end, because `in_flight` has no second response; a bare timeout means "not yet" here."""
        self.accepted = True
        params = {"runId": self.ref.key, "timeoutMs": int(self.tuning.wait * 1000)}
        while True:
            try:
                if classify.wait_has_ended(self.ask(link, "agent.wait", params, self.tuning.wait + self.tuning.rpc)):
                    break
            except CallFailed as failure:
                if not failure.retryable:
                    raise classify.LOST.failure(quote=failure.code) from failure
                self.pause(failure.retry_after or 1.0)
        # Just after the end a replay may still say in_flight, for about this long.
        self.pause(self.tuning.pause)

    def _refused(self, link: GatewayConnection, error: Payload, *, replayed: bool) -> TextResult:
        if replayed and classify.ledger_knows(error):
            return self.settle(link)
        if replayed or not self.accepted:
            if classify.is_not_yet(error):
                raise RunNotKnownYet(classify.refusal(error))
            if not replayed:
                raise classify.refusal(error)
        raise classify.turn_failure(error, self._detail())

    def _detail(self) -> Payload | None:
        """Return the cause, whose event may come shortly after the response."""
        until = Deadline(self.tuning.cause)
        while self.inbox.detail is None and not self.inbox.over:
            if self.next(until) is None:
                break
        return self.inbox.detail

    def settle(self, link: GatewayConnection) -> TextResult:
        """Look up a run that the gateway has forgotten in its ledger, and stop what continues in its session."""
        try:
            found = ledger.look_up(lambda method, params: self.ask(link, method, params, self.tuning.rpc), self.ref)
        except CallFailed as failure:
            raise classify.LOST.failure(quote=failure.code) from failure
        if isinstance(found, TextResult):
            return found
        self.shared.banish(self.ref.session_key)
        with contextlib.suppress(LinkLost, CallFailed):
            self.ask(link, "sessions.abort", {"key": self.ref.session_key}, self.tuning.abort)
        raise found

    def _stop(self, cause: Cause) -> TextResult:
        """Abort the run; if it ended by itself just before, its result counts."""
        if not self.sent:
            raise cause.failure()
        self.stopping = True
        if not self.abort():
            cause = cause if self.final else classify.UNCONFIRMED
        if self.final is None:
            raise cause.failure()
        return self._last_word(self.final, cause)

    def abort(self) -> bool:
        """Ask the gateway to stop the run; True when it confirms that, or when the run had ended."""
        until = Deadline(self.tuning.abort)
        while not until.passed:
            try:
                link = self.connection if self.connection is not None and self.connection.alive else self.connect(until)
                if self._abort(link, until):
                    return True
            except LinkLost:
                self.connection = None
            except CallFailed:
                return False
        return False

    def _abort(self, link: GatewayConnection, until: Deadline) -> bool:
        known = self.accepted
        params = {"key": self.ref.session_key, "runId": self.ref.key}
        try:
            stopped = self.ask(link, "sessions.abort", params, until.remaining)
        except CallFailed:
            stopped = self._abort_as_admin(params, until)
        self.stopped_one = bool(stopped.get("abortedRunId")) or stopped.get("status") == "aborted"
        if self.stopped_one or self.final:
            return True
        # Nothing runs: the run ended just now and its last response is on the way, or it has not begun yet.
        within = Deadline(min(0.5, until.remaining))
        while self.final is None and (item := self.next(within)) is not None:
            if isinstance(item, Lost) and item.connection is link:
                raise LinkLost
            if isinstance(item, ResponseFrame) and item.connection is link:
                self.note(item)
                if self.final is None:
                    return False
        return known or self.final is not None

    def _abort_as_admin(self, params: Payload, until: Deadline) -> Payload:
        """Abort a run that another connection started: before a reconnect, or in another worker."""
        link = self.shared.administrate(self.inbox)
        try:
            return self.ask(link, "sessions.abort", params, until.remaining)
        finally:
            link.close()

    def _last_word(self, final: ResponseFrame, cause: Cause) -> TextResult:
        if not final.frame.get("ok"):
            raise cause.failure()
        try:
            return classify.final_answer(payload_of(final), self.inbox.detail, asked=True)
        except CallFailed as failure:
            raise (cause.failure() if failure.outcome == "cancelled" else failure) from None
