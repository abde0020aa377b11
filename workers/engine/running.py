"""One step whose effect is under way, in line, or waits for its next attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from models.rules.effects import AgentTurn, Call
from models.rules.graph import Retry
from models.rules.kinds import NodeCall
from models.rules.schedule import Step
from models.rules.states import NodeStatus
from models.services.journal import NodeRow
from models.services.leases import PastStep
from workers.engine import clock
from workers.engine.limiter import Ticket
from workers.gateways.base import Cancel

Json = Any


@dataclass
class Running:
    """Owned by the driver's thread; a pool thread reads it during an attempt."""

    step: Step
    call: NodeCall
    effect: Call
    retry: Retry
    attempt: int = 1
    refused: int = 0  # tries that the provider turned away, and that are not counted as attempts
    started_at: datetime = field(default_factory=clock.now)
    external_ref: Json = None
    left_behind: Json = None
    cancel: Cancel = field(default_factory=Cancel)
    last_state: str = ""
    sent: bool = False  # its start is, or is being, stored: from here on it may have happened
    ticket: Ticket | None = None  # its place in its provider's line

    @property
    def is_irrevocable(self) -> bool:
        """Whether nobody could tell what became of it if it were cut off now. A turn is found again in its gateway."""
        return self.sent and self.call.node.on_crash == "fail" and not isinstance(self.effect, AgentTurn)

    @property
    def ends_at(self) -> datetime | None:
        """When the node must have ended, with all its attempts; None: whenever it does."""
        deadline = self.call.node.deadline
        return None if deadline is None else self.started_at + timedelta(seconds=deadline)

    def row(self, status: NodeStatus, **changes: Any) -> NodeRow:
        """This step's state as it is recorded."""
        reference = {**(self.external_ref or {}), "refused": self.refused} if self.refused else self.external_ref
        row = NodeRow(self.step, status, self.attempt, self.started_at, external_ref=reference)
        return replace(row, **changes)

    def waiting(self, reference: Mapping[str, Json]) -> dict[str, Json]:
        """What it is kept as while it waits for what `reference` says: no longer than its deadline."""
        kept = {**reference, "refused": self.refused} if self.refused else dict(reference)
        if self.ends_at and datetime.fromisoformat(kept["until"]) > self.ends_at:
            kept["until"] = self.ends_at.isoformat()
        return kept

    def resume(self, past: PastStep) -> None:
        """Go on as the attempt that an earlier driver recorded."""
        reference = dict(past.external_ref or {})
        self.attempt, self.refused = past.attempt, reference.pop("refused", 0)
        self.started_at = past.started_at or self.started_at
        if past.status is NodeStatus.RUNNING:
            self.left_behind = reference or None
