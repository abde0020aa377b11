"""One turn over the shared line, from the first frame to the last word, through lost sockets and restarts.

Guarantee: the same key is sent for one attempt however often the connection breaks, nothing is sent before `on_start`
returned, and a turn that may have happened ends as `unknown`, never as a plain failure.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from models.rules.effects import AgentTurn, TextAnswer
from workers.gateways import openclaw_classify as classify
from workers.gateways import openclaw_ledger as ledger
from workers.gateways.base import CallFailed, Cancel, Deadline
from workers.gateways.openclaw_caller import Caller, Payload, Stopped, Tuning, payload_of
from workers.gateways.openclaw_classify import Cause
from workers.gateways.openclaw_line import Line
from workers.gateways.openclaw_socket import Link, LinkLost
from workers.gateways.openclaw_types import OnStart, OnStatus, RunRef, State, Status
from workers.gateways.openclaw_watch import Answer, Lost


class NotYet(Exception):
    """The gateway refused before anything ran, and says that a repeat may work."""

    def __init__(self, failure: CallFailed) -> None:
        super().__init__(failure.code)
        self.failure = failure
        self.after = failure.retry_after or 1.0


class Talk(Caller):
    """A caller that runs one turn; used by that caller's thread only."""

    def __init__(
        self,
        line: Line,
        ref: RunRef,
        turn: AgentTurn,
        frame: Mapping[str, Any],
        *,
        cancel: Cancel,
        on_status: OnStatus,
        deadline: Deadline | None,
        tuning: Tuning,
    ) -> None:
        super().__init__(line, ref, cancel=cancel, on_status=on_status, deadline=deadline, tuning=tuning)
        self.turn, self.frame = turn, frame
        self.sent = False
        self.stopped_one = False  # whether the gateway says that it stopped something

    def begin(self, on_start: OnStart) -> TextAnswer:
        """Announce, send, and follow to the end."""
        return self._stoppable(lambda: self._begin(on_start))

    def resume(self, link: Link) -> TextAnswer:
        """Follow a run that a worker which is no more has started."""
        self.sent = self.accepted = True
        return self._stoppable(lambda: self._follow(link))

    def tell(self, status: Status) -> None:
        """Pass news on. Time in the gateway's own queue is not the run's: its clock starts when it runs."""
        if status.state is State.RUNNING and not self.stopping:
            self._start_clock()
        super().tell(status)

    def _start_clock(self) -> None:
        self.run_deadline = Deadline(self.turn.timeout + self.tuning.grace)

    def _stoppable(self, work: Callable[[], TextAnswer]) -> TextAnswer:
        try:
            return work()
        except Stopped as stop:
            return self._stop(stop.cause)

    def _begin(self, on_start: OnStart) -> TextAnswer:
        patience = Deadline(self.tuning.patience)
        announced: str | None = None
        while True:
            link = self.connect(patience)
            if link.boot_id != announced:
                announced = link.boot_id
                self.ref = replace(self.ref, boot_id=announced)
                on_start(self.ref.as_json())
                self.check()
                continue  # the link may have gone while the announcement was being stored
            try:
                return self._follow(link)
            except NotYet as refused:
                if patience.remaining <= refused.after:
                    raise refused.failure from None
                self.sent, self.run_deadline = False, None
                self.on_status(Status(State.QUEUED, {"for": "gateway", "code": refused.failure.code}))
                self.pause(refused.after)

    def _follow(self, link: Link) -> TextAnswer:
        replayed = self.accepted
        while True:
            try:
                if link.boot_id != self.ref.boot_id:
                    return self.settle(link)
                return self._exchange(link, replayed=replayed)
            except LinkLost:
                self.final = None
            except NotYet as refused:
                if not replayed and not self.accepted:
                    raise
                self.pause(refused.after)
            replayed = True
            link = self._again()

    def _again(self) -> Link:
        try:
            return self.connect(Deadline(self.tuning.patience))
        except CallFailed as failure:
            raise classify.LOST.failure(quote=failure.code) from failure

    def _exchange(self, link: Link, *, replayed: bool) -> TextAnswer:
        if self.run_deadline is None:
            self._start_clock()
        self.sent = True
        request_id = self.send(link, "agent", self.frame)
        while True:
            answer = self.answer_to(link, request_id, None)
            if answer is None:
                raise LinkLost
            if not answer.frame.get("ok"):
                return self._refused(link, answer.frame.get("error") or {}, replayed=replayed)
            payload = payload_of(answer)
            if payload.get("status") == "accepted":
                self.accepted = True
                self.on_status(Status(State.ACCEPTED))
            elif payload.get("status") == "in_flight":
                self._wait_for_end(link)
                request_id = self.send(link, "agent", self.frame)
            else:
                detail = self._detail() if payload.get("status") == "error" else None
                return classify.final_answer(payload, detail)

    def _wait_for_end(self, link: Link) -> None:
        """`in_flight` promises no second response, so ask for the end; a bare timeout means "not yet" here."""
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

    def _refused(self, link: Link, error: Payload, *, replayed: bool) -> TextAnswer:
        if replayed and classify.ledger_knows(error):
            return self.settle(link)
        if replayed or not self.accepted:
            if classify.is_not_yet(error):
                raise NotYet(classify.refusal(error))
            if not replayed:
                raise classify.refusal(error)
        raise classify.turn_failure(error, self._detail())

    def _detail(self) -> Payload | None:
        """The event with the cause may come just after the response."""
        until = Deadline(self.tuning.cause)
        while self.watch.detail is None and not self.watch.over:
            if self.next(until) is None:
                break
        return self.watch.detail

    def settle(self, link: Link) -> TextAnswer:
        """The gateway has forgotten the run: look it up in the ledger, and let nothing go on in its session."""
        try:
            found = ledger.look_up(lambda method, params: self.ask(link, method, params, self.tuning.rpc), self.ref)
        except CallFailed as failure:
            raise classify.LOST.failure(quote=failure.code) from failure
        if isinstance(found, TextAnswer):
            return found
        self.line.banish(self.ref.session_key)
        with contextlib.suppress(LinkLost, CallFailed):
            self.ask(link, "sessions.abort", {"key": self.ref.session_key}, self.tuning.abort)
        raise found

    def _stop(self, cause: Cause) -> TextAnswer:
        """Abort the run; if it ended by itself just before, its answer counts."""
        if not self.sent:
            raise cause.failure()
        self.stopping = True
        if not self.abort():
            cause = cause if self.final else classify.UNCONFIRMED
        if self.final is None:
            raise cause.failure()
        return self._last_word(self.final, cause)

    def abort(self) -> bool:
        """Ask the gateway to stop the run; True when it says so, or when the run had ended."""
        until = Deadline(self.tuning.abort)
        while not until.passed:
            try:
                link = self.link if self.link is not None and self.link.alive else self.connect(until)
                if self._abort(link, until):
                    return True
            except LinkLost:
                self.link = None
            except CallFailed:
                return False
        return False

    def _abort(self, link: Link, until: Deadline) -> bool:
        known = self.accepted
        params = {"key": self.ref.session_key, "runId": self.ref.key}
        try:
            stopped = self.ask(link, "sessions.abort", params, until.remaining)
        except CallFailed:
            stopped = self._abort_as_admin(params, until)
        self.stopped_one = bool(stopped.get("abortedRunId")) or stopped.get("status") == "aborted"
        if self.stopped_one or self.final:
            return True
        # Nothing runs: either it ended just now and its last response is on the way, or it has not begun yet.
        within = Deadline(min(0.5, until.remaining))
        while self.final is None and (item := self.next(within)) is not None:
            if isinstance(item, Lost) and item.link is link:
                raise LinkLost
            if isinstance(item, Answer) and item.link is link:
                self.note(item)
                if self.final is None:
                    return False
        return known or self.final is not None

    def _abort_as_admin(self, params: Payload, until: Deadline) -> Payload:
        """Another connection than ours began the run: before a lost socket, or in another worker."""
        link = self.line.administrate(self.watch)
        try:
            return self.ask(link, "sessions.abort", params, until.remaining)
        finally:
            link.close()

    def _last_word(self, final: Answer, cause: Cause) -> TextAnswer:
        if not final.frame.get("ok"):
            raise cause.failure()
        try:
            return classify.final_answer(payload_of(final), self.watch.detail, asked=True)
        except CallFailed as failure:
            raise (cause.failure() if failure.outcome == "cancelled" else failure) from None
