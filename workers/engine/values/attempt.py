"""One step whose effect is in progress, queued, or waiting for its next attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from models.rules.executions.schedule import Step
from models.rules.executions.states import UNSETTLED, NodeStatus
from models.rules.graph.effects import AgentTurn, Call, HttpCall
from models.rules.graph.graph import Retry
from models.rules.graph.kinds import NodeCall
from models.rules.prices.charging import FREE, is_charged
from models.serialization import Json
from models.services.orchestration.journal import NodeRow
from models.services.orchestration.leases import PastStep
from workers.engine.values import clock
from workers.engine.values.queued_calls import QueuedCall
from workers.gateways.base import CallFailed, Cancel


@dataclass
class StepAttempt:
    """The state of a step's attempts. Owned by the driver's thread; a pool thread reads it during an attempt."""

    step: Step
    call: NodeCall
    effect: Call
    retry: Retry
    number: int = 1
    throttled: int = 0  # tries that the provider refused for overload; not counted as attempts
    repeated: int = 0  # attempts that were sent and interrupted, so that the provider may have charged for them
    started_at: datetime = field(default_factory=clock.now)
    external_ref: Json = None
    in_flight_ref: Json = None  # reference of a call that an earlier driver sent and that may still be in progress
    cancel: Cancel = field(default_factory=Cancel)
    last_state: str = ""
    queue: Mapping[str, Json] | None = None  # `{for, since}` while the call is queued
    sent: bool = False  # its start is stored or being stored: from here on it may have happened
    was_sent: bool = False  # by an earlier driver, which died before the result
    queued_call: QueuedCall | None = None  # in its provider's queue
    price: Decimal = FREE  # credits of the node with its call
    traceparent: str | None = None  # of its node's span
    owed: bool = False  # an earlier attempt must be paid in any case

    @property
    def is_non_repeatable(self) -> bool:
        """Whether its outcome would be lost if it were cut off now; an agent turn can be found in its gateway."""
        return self.sent and self.call.node.on_crash == "fail" and not isinstance(self.effect, AgentTurn)

    @property
    def is_safe(self) -> bool:
        """Whether its result may be lost, because its call only reads and may be repeated."""
        node = self.call.node
        reads = isinstance(self.effect, HttpCall) and self.effect.is_safe
        return reads and node.on_crash != "fail" and node.side_effects != "once"

    @property
    def may_be_early(self) -> bool:
        """Whether it may be sent while its start is being stored."""
        return self.is_safe and self.request == 1  # the number of a further try must be stored first

    @property
    def ends_at(self) -> datetime | None:
        """When the node must have ended, with all its attempts; None without a deadline."""
        deadline = self.call.node.deadline
        return None if deadline is None else self.started_at + timedelta(seconds=deadline)

    @property
    def request(self) -> int:
        """The number of the request that is next or in progress; throttled tries count too."""
        return self.number + self.throttled

    @property
    def due(self) -> Decimal:
        """Credits that the node costs if it is given up now."""
        return self.price if self.sent or self.owed else FREE

    @property
    def history(self) -> dict[str, Json]:
        """The facts about earlier attempts that the next driver needs, stored beside the reference."""
        past = {"refused": self.throttled, "owed": self.owed, "repeated": self.repeated}
        return {name: value for name, value in past.items() if value}

    def row(self, status: NodeStatus, **changes: Any) -> NodeRow:
        """The row that records this step's state."""
        reference = {**(self.external_ref or {}), **self.history}
        if self.queue and status in UNSETTLED:
            reference["queue"] = self.queue
        due = self.due if status in UNSETTLED else FREE
        row = NodeRow(self.step, status, self.number, self.started_at, external_ref=reference or None, due=due)
        return replace(row, **changes) if changes else row

    def set_aside(self) -> None:
        """Leave the queue for now: the next try queues anew."""
        self.last_state, self.queue = "", None

    def may_repeat(self, failure: CallFailed) -> bool:
        """Whether another attempt may follow this failure."""
        is_final = failure.outcome == "unknown" and self.call.node.on_crash == "fail"
        return not is_final and failure.retryable and self.number < self.retry.max_attempts

    def repeat(self, failure: CallFailed, *, is_counted: bool) -> None:
        """Prepare for another try after a failure."""
        if is_counted:
            self.number += 1
        else:
            self.throttled += 1
        self.repeated += self.sent and failure.outcome == "unknown"
        self.owed = self.owed or is_charged(failure.code, sent=self.sent and failure.sent)
        self.in_flight_ref = self.external_ref = None
        self.last_state, self.sent, self.was_sent = "", False, False

    def queued(self, queue: Mapping[str, Json] | None) -> NodeRow | None:
        """The row that records that it queues (`{for}`) or no longer does (None); None when nothing changed."""
        if not (queue or self.queue):
            return None
        self.queue = {**queue, "since": clock.now().isoformat()} if queue else None
        return self.row(NodeStatus.RUNNING if self.sent or not queue else NodeStatus.PENDING)

    def resume(self, past: PastStep) -> None:
        """Continue as the attempt that an earlier driver recorded."""
        reference = dict(past.external_ref or {})
        self.number, self.throttled = past.attempt, reference.pop("refused", 0)
        self.repeated = reference.pop("repeated", 0)
        reference.pop("queue", None)
        self.owed = reference.pop("owed", False)
        self.sent = self.was_sent = past.status is NodeStatus.RUNNING and past.due > 0
        self.started_at = past.started_at or self.started_at
        if past.status is NodeStatus.RUNNING:
            self.in_flight_ref = reference or None
