"""The steps of one run that wait: for a moment, a person, a provider, or a child run.

A waiting step is only a row; a driver stays with the run for a short wait only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from models.rules.executions.schedule import Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.effects import ApprovalResult
from models.rules.graph.kinds import NodeCall
from models.rules.prices.charging import FREE
from models.serialization import Json
from models.services.orchestration.journal import NodeRow
from models.services.orchestration.leases import PastStep
from workers.engine.values import clock
from workers.engine.values.attempt import StepAttempt
from workers.engine.values.wait_reasons import Approval, ChildRun, WaitReason, WaitTimer, read_reason

INLINE_WAIT_SECONDS = 10.0  # the longest wait for which a driver stays; for a longer one the run is parked


@dataclass
class PausedStep:
    """One waiting step, and the attempt to start after the wait."""

    step: Step
    call: NodeCall
    started_at: datetime
    reason: WaitReason
    next_attempt: StepAttempt | None = None

    @property
    def is_cut_off(self) -> bool:
        """Whether the node's own limit ends it before the wait is over."""
        return isinstance(self.reason, WaitTimer) and self.reason.cut_off

    @property
    def verdict(self) -> ApprovalResult | None:
        """The result of a question; None for a timer."""
        return self.reason.verdict if isinstance(self.reason, Approval) else None

    @property
    def due(self) -> Decimal:
        """Credits that the step costs if it is given up now."""
        return self.next_attempt.due if self.next_attempt else FREE

    def row(self, status: NodeStatus) -> NodeRow:
        """The row that records this step."""
        number, history = (self.next_attempt.number, self.next_attempt.history) if self.next_attempt else (1, {})
        due = self.due if status is NodeStatus.WAITING else FREE
        reference = {**self.reason.to_ref(), **history}
        return NodeRow(self.step, status, number, self.started_at, external_ref=reference, due=due)

    def cancelled(self, *, charged: bool) -> NodeRow:
        """The row that records that this step was given up."""
        credits = self.due if charged else FREE
        return replace(self.row(NodeStatus.CANCELLED), finished_at=clock.now(), credits=credits)

    def as_json(self) -> dict[str, Json]:
        """The wait as the run shows it."""
        stored = self.reason.to_ref()
        known = {name: stored.get(name) for name in ("type", "message", "until")}
        if isinstance(self.reason, ChildRun):
            known["childExecutionId"] = str(self.reason.run_id)
        return {**known, "nodeId": self.step.node_id, "path": self.step.path}


@dataclass
class PausedSteps:
    """Owned by the driver's thread."""

    _paused: dict[Step, PausedStep] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._paused)

    def __iter__(self) -> Iterator[PausedStep]:
        return iter(list(self._paused.values()))

    def add(self, paused: PausedStep) -> None:
        """Add a waiting step."""
        self._paused[paused.step] = paused

    def drop(self, paused: PausedStep) -> None:
        """Remove a step that is settled or given up."""
        self._paused.pop(paused.step, None)

    def holds(self, paused: PausedStep) -> bool:
        """Whether it still waits, so that it was neither settled nor given up."""
        return self._paused.get(paused.step) is paused

    def refresh(self, rows: Mapping[Step, PastStep]) -> None:
        """Take over answers that were stored in the rows meanwhile."""
        for step, row in rows.items():
            if (paused := self._paused.get(step)) and row.external_ref:
                stored = read_reason(row.external_ref)
                if paused.reason.is_same(stored):
                    paused.reason = stored

    @property
    def for_children(self) -> bool:
        """Whether a child run is in progress, which will return its unspent credits."""
        return any(isinstance(paused.reason, ChildRun) for paused in self)

    def over(self) -> list[PausedStep]:
        """The steps whose wait is over."""
        return [paused for paused in self._paused.values() if paused.reason.is_over]

    @property
    def next_at(self) -> datetime | None:
        """When the first of them goes on by itself."""
        return min((paused.reason.until for paused in self if paused.reason.until), default=None)

    @property
    def worth_staying_for(self) -> datetime | None:
        """When the first of them goes on, without those that wait for child runs."""
        # A driver that stays for a child run occupies the slot that the child may need.
        own = (paused.reason for paused in self if not isinstance(paused.reason, ChildRun))
        return min((reason.until for reason in own if reason.until), default=None)

    def as_json(self) -> dict[str, Json]:
        """The run's wait summary: an approval first, else the next timer."""
        first = min(self, key=_urgency)
        types = sorted({paused.reason.type for paused in self})
        return {**first.as_json(), "waiting": len(self), "types": types}


def _urgency(paused: PausedStep) -> tuple[bool, float]:
    until = paused.reason.until
    return not isinstance(paused.reason, Approval), until.timestamp() if until else float("inf")
