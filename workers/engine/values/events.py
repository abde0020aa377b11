"""The events of a driver's inbox.

Pool threads, the journal, the limiter, the lease heartbeat and the driver's own objects report to a driver by posting
one of these; `ExecutionDriver._dispatch` is the one place that decides what follows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from models.rules.executions.schedule import Step
from models.rules.executions.states import ExecutionStatus
from models.rules.graph.effects import EffectResult
from models.serialization import Json
from models.services.credits.api_calls import CallsUsed
from models.services.orchestration.journal import Progress
from workers.engine.values.attempt import StepAttempt
from workers.engine.values.queued_calls import QueuedCall
from workers.gateways.base import CallFailed

AttemptResult = EffectResult | CallFailed | CallsUsed


@dataclass(frozen=True, slots=True)
class StartReceipt:
    """Passes on, in the journal's thread, that a start was stored (None) or the error with which it was refused.

    With `send_early` the call may be sent while its start is being stored.
    """

    tell: Callable[[Exception | None], None]
    send_early: Callable[[], None] | None = None


# From the lease heartbeat, or from a process that shuts down


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A cancel of the run was requested."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The run's deadline passed."""


@dataclass(frozen=True, slots=True)
class AnswerGiven:
    """An approval was answered, a child ended, or the run's credits were raised: read the rows again."""


@dataclass(frozen=True, slots=True)
class OwnershipLost:
    """Another driver owns the run, or the lease may have expired."""


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """The process shuts down: release the run for another worker."""


# From the journal


@dataclass(frozen=True, slots=True)
class ChildStartStored:
    """The start of a step's child run is recorded, with all that led to it."""

    step: Step


@dataclass(frozen=True, slots=True)
class EndingStored:
    """The run's ending is stored, or the reason why it waits."""

    status: ExecutionStatus


@dataclass(frozen=True, slots=True)
class ShutdownStored:
    """All progress of a driver that shuts down is stored, so the next driver may claim the run."""


FollowUp = ChildStartStored | EndingStored | ShutdownStored


@dataclass(frozen=True, slots=True)
class Stored:
    """A large write of `size` bytes of results is done."""

    size: int


@dataclass(frozen=True, slots=True)
class WriteRefused:
    """A write failed for good; `then` is the event that was to follow it, `starts` hear of the error."""

    progress: Progress
    error: Exception
    then: FollowUp | None
    starts: Sequence[StartReceipt] = ()


# From the effect pool, the limiter and the timers of attempts


@dataclass(frozen=True, slots=True)
class CallAllowed:
    """The month's quota allows this call, and it is counted."""

    attempt: StepAttempt


@dataclass(frozen=True, slots=True)
class AttemptStarting:
    """A pool thread is about to send a call and waits until its start is stored with its reference."""

    attempt: StepAttempt
    reference: Json
    receipt: StartReceipt


@dataclass(frozen=True, slots=True)
class AttemptStatusChanged:
    """An attempt in progress changed its status, such as entering a queue."""

    attempt: StepAttempt
    state: str
    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt ended, or the month's call quota refused it."""

    attempt: StepAttempt
    result: AttemptResult


@dataclass(frozen=True, slots=True)
class CallPostponed:
    """The provider asked for a long pause, so a queued call left the queue."""

    attempt: StepAttempt
    call: QueuedCall
    seconds: float


@dataclass(frozen=True, slots=True)
class QueueTimePassed:
    """A call has queued for so long that its step may be parked."""

    attempt: StepAttempt
    call: QueuedCall


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The pause before the next try is over; one that `reattaches` asks for the outcome of a turn, without queueing."""

    attempt: StepAttempt
    reattaches: bool = False


@dataclass(frozen=True, slots=True)
class NodeDeadlinePassed:
    """A node's deadline for all its attempts passed."""

    attempt: StepAttempt


AttemptTimer = QueueTimePassed | RetryDue | NodeDeadlinePassed


# From the steps themselves


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """A node failed, and nothing in the graph handles that."""

    document: Json


LeaseEvent = CancelRequested | DeadlinePassed | AnswerGiven | OwnershipLost | ShutdownRequested
Event = (
    LeaseEvent
    | ChildStartStored
    | EndingStored
    | ShutdownStored
    | Stored
    | WriteRefused
    | CallAllowed
    | AttemptStarting
    | AttemptStatusChanged
    | AttemptEnded
    | CallPostponed
    | AttemptTimer
    | NodeFailed
)
Post = Callable[[Event], None]
