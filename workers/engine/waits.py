"""The steps of one run that wait for a moment or for a person.

They cost a row; a driver stays for a short wait only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from models.rules.effects import Ask, Pause, Verdict
from models.rules.kinds import NodeCall
from models.rules.schedule import Step
from models.rules.states import NodeStatus
from models.services.api_calls import CallsUsed
from models.services.journal import NodeRow
from models.services.leases import PastStep
from workers.engine import clock
from workers.engine.running import Running

Json = Any

PATIENCE = 10.0  # seconds that a driver stays for what comes next; past them the run is parked


@dataclass
class Wait:
    """One waiting step. `reference` is kept in its row: what it waits for, until when, and, once given, the answer."""

    step: Step
    call: NodeCall
    started_at: datetime
    reference: dict[str, Json]
    running: Running | None = None  # the effect to start when the time has come

    @property
    def until(self) -> datetime | None:
        """When it goes on by itself."""
        moment = self.reference.get("until")
        return datetime.fromisoformat(moment) if moment else None

    @property
    def is_over(self) -> bool:
        """Whether it may go on."""
        return "answer" in self.reference or (self.until is not None and self.until <= clock.now())

    def is_meant_by(self, reference: Mapping[str, Json]) -> bool:
        """Whether a row tells of this wait; one that has just begun is not stored yet, and the row is of the last."""
        return all(reference.get(name) == self.reference.get(name) for name in ("type", "childExecutionId", "until"))

    def verdict(self) -> Verdict | None:
        """What came of a question; None for a timer."""
        if self.reference["type"] != "approval":
            return None
        answer = self.reference.get("answer") or {}
        return Verdict(answer.get("approved"), answer.get("comment"))

    def row(self, status: NodeStatus) -> NodeRow:
        """This step as it is recorded."""
        attempt = self.running.attempt if self.running else 1
        return NodeRow(self.step, status, attempt, self.started_at, external_ref=self.reference)

    def told(self) -> dict[str, Json]:
        """What the run says that it waits for."""
        known = {name: self.reference.get(name) for name in ("type", "message", "until")}
        if "childExecutionId" in self.reference:
            known["childExecutionId"] = self.reference["childExecutionId"]
        return {**known, "nodeId": self.step.node_id, "path": self.step.path}


@dataclass
class Waits:
    """Owned by the driver's thread."""

    _waits: dict[Step, Wait] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._waits)

    def __iter__(self) -> Iterator[Wait]:
        return iter(list(self._waits.values()))

    def add(self, wait: Wait) -> None:
        """Begin to wait."""
        self._waits[wait.step] = wait

    def drop(self, wait: Wait) -> None:
        """It is settled or given up."""
        self._waits.pop(wait.step, None)

    def holds(self, wait: Wait) -> bool:
        """Whether it was neither settled nor given up."""
        return self._waits.get(wait.step) is wait

    def learn(self, rows: Mapping[Step, PastStep]) -> None:
        """Take the answers that people gave meanwhile from the rows."""
        for step, row in rows.items():
            if (wait := self._waits.get(step)) and row.external_ref and wait.is_meant_by(row.external_ref):
                wait.reference = row.external_ref

    @property
    def for_children(self) -> bool:
        """Whether a run that was started is under way: it gives back what it does not spend."""
        return any("childExecutionId" in wait.reference for wait in self)

    def over(self) -> list[Wait]:
        """Those that may go on."""
        return [wait for wait in self if wait.is_over]

    @property
    def next_at(self) -> datetime | None:
        """When the first of them goes on by itself."""
        return min((wait.until for wait in self if wait.until), default=None)

    @property
    def patience(self) -> float | None:
        """Seconds until the next one, if it is worth staying for."""
        # Whoever stays for a run that he started takes the turn that it may need.
        moments = (wait.until for wait in self if wait.until and "childExecutionId" not in wait.reference)
        first = min(moments, default=None)
        if first is None:
            return None
        seconds = (first - clock.now()).total_seconds()
        return max(0.0, seconds) if seconds <= PATIENCE else None

    def told(self) -> dict[str, Json]:
        """What the run waits for: a person first, then whatever comes next."""
        first = min(self, key=lambda wait: (wait.reference["type"] != "approval", wait.reference.get("until") or "~"))
        types = sorted({wait.reference["type"] for wait in self})
        return {**first.told(), "waiting": len(self), "types": types}


def reference_of(pause: Pause) -> dict[str, Json]:
    """What a pause is kept as; its time counts from now."""
    if isinstance(pause, Ask):
        until = _later(pause.timeout) if pause.timeout is not None else None
        return {"type": "approval", "message": pause.message, "until": until}
    until = pause.until.isoformat() if pause.until else _later(pause.seconds or 0.0)
    return {"type": "timer", "message": f"Waits until {until}.", "until": until}


def patience_reference(seconds: float, detail: str) -> dict[str, Json]:
    """What a long back-off is kept as."""
    return {"type": "provider", "message": f"Tries again later: {detail}", "until": _later(seconds)}


def ration_reference(shortage: CallsUsed) -> dict[str, Json]:
    """What a step is kept as that waits for the next month's calls, or for a higher tier."""
    until = shortage.resets_at.isoformat()
    message = (
        f"The {shortage.limit:,} AI and API calls of this month are used up; goes on {until[:10]} or on a higher tier."
    )
    return {"type": "api_calls", "message": message, "until": until}


def _later(seconds: float) -> str:
    return (clock.now() + timedelta(seconds=seconds)).isoformat()
