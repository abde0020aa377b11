"""Why a step waits, as values. They are stored in the step's row (`external_ref`), where the next driver reads them.

WaitReason
├── WaitTimer       a moment that the graph names
├── Approval        a person's answer
├── Backoff         the next attempt of a call, when a provider asked for a long pause
├── QuotaReset      the next month's call quota, or a higher tier
├── ChildRun        the end of a run that the step started
├── ChildRetry      the next attempt of such a run
└── ChildStarting   such a run, while its start is being stored
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from models.rules.graph.effects import ApprovalResult, Ask, Pause
from models.serialization import Json
from models.services.credits.api_calls import CallsUsed
from models.services.orchestration import children
from workers.engine.values import clock


@dataclass(frozen=True, kw_only=True)
class WaitReason:
    """Base of all reasons: `message` is for people, `until` is when the step goes on by itself."""

    type: ClassVar[str]  # the machine-readable word, also in the API
    message: str = ""
    until: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether the wait is over."""
        return self.until is not None and self.until <= clock.now()

    def is_same(self, other: "WaitReason") -> bool:
        """Whether both are the same wait, ignoring its answer; a row may still hold an earlier wait."""
        return type(self) is type(other) and self.until == other.until

    def at_latest(self, moment: datetime | None) -> "WaitReason":
        """The same reason, but over at `moment`."""
        if moment is None or (self.until is not None and self.until <= moment):
            return self
        return replace(self, until=moment)

    def to_ref(self) -> dict[str, Json]:
        """The reason as it is stored in the step's row."""
        until = self.until.isoformat() if self.until else None
        return {"type": self.type, "message": self.message, "until": until}


@dataclass(frozen=True, kw_only=True)
class WaitTimer(WaitReason):
    """A moment in time; with `cut_off` the node's own limit comes before it."""

    type: ClassVar[str] = "timer"
    cut_off: bool = False

    def to_ref(self) -> dict[str, Json]:
        """The reason as it is stored in the step's row."""
        return super().to_ref() | ({"cutOff": True} if self.cut_off else {})


@dataclass(frozen=True, kw_only=True)
class Approval(WaitReason):
    """A person's answer; `answer` is `{approved, comment, by}` once it is given."""

    type: ClassVar[str] = "approval"
    answer: Mapping[str, Json] | None = None

    @property
    def is_over(self) -> bool:
        """Whether it was answered, or its time is over."""
        return self.answer is not None or super().is_over

    @property
    def verdict(self) -> ApprovalResult:
        """The result of the question."""
        given = self.answer or {}
        return ApprovalResult(given.get("approved"), given.get("comment"))

    def to_ref(self) -> dict[str, Json]:
        """The reason as it is stored in the step's row."""
        return super().to_ref() | ({"answer": self.answer} if self.answer is not None else {})


@dataclass(frozen=True, kw_only=True)
class Backoff(WaitReason):
    """The next attempt of a call, after a long pause."""

    type: ClassVar[str] = "provider"

    @classmethod
    def after(cls, seconds: float, detail: str) -> "Backoff":
        """Build a pause of so many seconds from now."""
        return cls(message=f"Tries again later: {detail}", until=_later(seconds))


@dataclass(frozen=True, kw_only=True)
class QuotaReset(WaitReason):
    """The reset of the monthly call quota, or a higher tier."""

    type: ClassVar[str] = "api_calls"

    @classmethod
    def of(cls, used: CallsUsed) -> "QuotaReset":
        """Build the reason from the calls used this month."""
        day = used.resets_at.isoformat()[:10]
        message = f"The {used.limit:,} AI and API calls of this month are used up; goes on {day} or on a higher tier."
        return cls(message=message, until=used.resets_at)


@dataclass(frozen=True, kw_only=True)
class ChildRun(WaitReason):
    """The end of a run that the step started; `result` is its `{status, output, error}` once it is over."""

    type: ClassVar[str] = children.WAITS_FOR_CHILD
    run_id: UUID
    workflow_id: UUID | None = None
    result: Mapping[str, Json] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the child run ended, or took too long."""
        return self.result is not None or super().is_over

    def is_same(self, other: WaitReason) -> bool:
        """Whether both wait for the same child run."""
        return isinstance(other, ChildRun) and self.run_id == other.run_id and self.until == other.until

    def to_ref(self) -> dict[str, Json]:
        """The reason as it is stored in the step's row, without the result, which is in the child run's row."""
        return children.reference_to(self.run_id, self.workflow_id, message=self.message, until=self.until)


@dataclass(frozen=True, kw_only=True)
class ChildRetry(WaitReason):
    """The next attempt of a child run, after one that failed."""

    type: ClassVar[str] = children.WAITS_FOR_CHILD

    @classmethod
    def after(cls, seconds: float, message: str, latest: datetime | None = None) -> "ChildRetry":
        """Build a pause of so many seconds from now, which ends at `latest` at the latest."""
        moment = _later(seconds)
        return cls(message=message, until=moment if latest is None else min(moment, latest))


@dataclass(frozen=True, kw_only=True)
class ChildStarting(WaitReason):
    """A child run that is being started; not stored in a row."""

    type: ClassVar[str] = children.WAITS_FOR_CHILD

    def to_ref(self) -> dict[str, Json]:
        """Return nothing, because the step's row has the status running."""
        return {}


def pause_reason(pause: Pause, end: datetime | None = None) -> WaitReason:
    """The reason for a node's pause, counted from now; at `end` the node must be over."""
    if isinstance(pause, Ask):
        return Approval(message=pause.message, until=_later(pause.timeout) if pause.timeout is not None else None)
    moment = pause.until or _later(pause.seconds or 0.0)
    message = f"Waits until {moment.isoformat()}."
    if end is not None and end < moment:
        return WaitTimer(message=message, until=end, cut_off=True)
    return WaitTimer(message=message, until=moment)


def read_reason(ref: Mapping[str, Json]) -> WaitReason:
    """Read the reason in a row; raises `ValueError` for an unknown type."""
    until = datetime.fromisoformat(ref["until"]) if ref.get("until") else None
    common: dict[str, Any] = {"message": ref.get("message") or "", "until": until}
    match ref.get("type"):
        case WaitTimer.type:
            return WaitTimer(cut_off=bool(ref.get("cutOff")), **common)
        case Approval.type:
            return Approval(answer=ref.get("answer"), **common)
        case Backoff.type:
            return Backoff(**common)
        case QuotaReset.type:
            return QuotaReset(**common)
        case ChildRun.type if run_id := ref.get("childExecutionId"):
            workflow_id = UUID(ref["workflowId"]) if ref.get("workflowId") else None
            return ChildRun(run_id=UUID(run_id), workflow_id=workflow_id, result=ref.get("answer"), **common)
        case ChildRetry.type:
            return ChildRetry(**common)
    raise ValueError(f"unknown wait reason: {ref.get('type')}")


def _later(seconds: float) -> datetime:
    return clock.now() + timedelta(seconds=seconds)
