"""How a driver leaves an execution: its outcome, the last event, the output."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from models.errors import ForgeError
from models.rules.executions.deadlines import run_timed_out
from models.rules.executions.schedule import Schedule
from models.rules.executions.states import CrashState, ExecutionStatus
from models.rules.prices.charging import is_ours
from models.serialization import Json
from models.services.orchestration.isolated_runs import QUARANTINED
from models.services.orchestration.journal import Ending, NodeRow
from models.services.orchestration.leases import Lease
from workers import metrics
from workers.engine.driver.paused_steps import PausedSteps
from workers.engine.journal.progress_buffer import ProgressBuffer
from workers.engine.values.outputs import OutputRefused, RunTooLarge, encode

MAX_DEATHS = 4  # in all: a run that kills workers while another branch makes progress would never be isolated


class DriveResult(StrEnum):
    """Why a driver stopped driving a run."""

    ENDED = "ended"
    PARKED = "parked"
    RELEASED = "released"
    PUT_BACK = "put_back"  # it could not be loaded for now; the sweep enqueues it again
    POSTPONED = "postponed"  # the same, after a minute
    ISOLATED = "isolated"  # an isolated process drove it
    LOST = "lost"
    BROKEN = "broken"  # a bug in the driver


@dataclass(frozen=True)
class Outcome:
    """Why a run ends early or waits, and its status then."""

    status: ExecutionStatus
    message: str
    error: Json = None
    waiting_for: Json = None
    wake_at: datetime | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the run ends because of a failure of this service, so that stopped steps are not charged."""
        return is_ours(self.error)

    @classmethod
    def waiting(cls, paused: PausedSteps, wake_at: datetime | None) -> "Outcome":
        """The run waits for its paused steps, until `wake_at` or an event."""
        facts = paused.as_json()
        return cls(ExecutionStatus.WAITING, facts["message"], waiting_for=facts, wake_at=wake_at)

    @classmethod
    def cancelled(cls) -> "Outcome":
        """The run was cancelled by request."""
        return cls(ExecutionStatus.CANCELLED, "Cancelled.")

    @classmethod
    def failed(cls, error: dict[str, Json]) -> "Outcome":
        """A node failed, and nothing in the graph handles that."""
        return cls(ExecutionStatus.FAILED, f"Failed: {error['message']}", error)

    @classmethod
    def quarantined(cls, crashes: int, how: str) -> "Outcome":
        """The run killed workers, and then its isolated process."""
        died = f"The worker died {crashes} times while it drove this run. Driven alone, it ended its process {how}."
        return cls.failed({"code": QUARANTINED, "message": died})

    @classmethod
    def internal(cls, message: str) -> "Outcome":
        """The service failed."""
        return cls.failed({"code": "internal_error", "message": message})

    @classmethod
    def budget(cls, cap: Decimal, needed: Decimal, wake_at: datetime | None) -> "Outcome":
        """The credits held for this run do not cover its next node, which needs `needed`."""
        sentence = (
            f"The {cap} credits set aside for this run do not cover its next node;"
            f" resume it with a limit of at least {needed}."
        )
        facts = {"type": "budget", "message": sentence, "cap": float(cap), "needed": float(needed)}
        return cls(ExecutionStatus.WAITING, sentence, waiting_for=facts, wake_at=wake_at)


def must_be_alone(lease: Lease) -> bool:
    """Whether a run is suspected to kill its driver, so that only an isolated process may drive it."""
    return lease.crash_state in (CrashState.ISOLATED, CrashState.KILLED_ONCE) or lease.deaths >= MAX_DEATHS


def outcome_on_arrival(lease: Lease) -> Outcome | None:
    """The outcome of a run that must end right after its claim, None for all others."""
    if lease.cancelled:
        return Outcome.cancelled()
    is_overdue = lease.deadline is not None and lease.deadline <= lease.claimed_at
    return Outcome.failed(run_timed_out(lease.deadline)) if is_overdue else None


def record_started(buffer: ProgressBuffer, lease: Lease) -> None:
    """Record this driver's first event."""
    if lease.epoch == 1:
        buffer.event("execution.started", f"{lease.workflow_name} started.")
    else:
        buffer.event("execution.resumed", f"{lease.workflow_name} goes on.", data={"driver": lease.epoch})


def conclude(buffer: ProgressBuffer, schedule: Schedule, outcome: Outcome | None) -> Ending:
    """Record this driver's last event and build the ending to be written with it."""
    if outcome is None:
        try:
            _, output = encode(run_output(schedule))
            if not buffer.fits_in_run(len(output)):
                raise RunTooLarge
        except (OutputRefused, RunTooLarge) as error:
            outcome = Outcome.failed({"code": error.code, "message": f"The run's output: {error.detail}"})
        else:
            buffer.event("execution.success", "Finished.")
            return Ending(ExecutionStatus.SUCCESS, output=output)
    level = "error" if outcome.status is ExecutionStatus.FAILED else "info"
    buffer.event(f"execution.{outcome.status}", outcome.message, level=level, data=outcome.error)
    return Ending(outcome.status, error=outcome.error, waiting_for=outcome.waiting_for, wake_at=outcome.wake_at)


def failure_document(row: NodeRow, error: ForgeError) -> dict[str, Json]:
    """A node's error as it is stored and shown; `cause` is the code of the first failure inside it."""
    document = {"code": error.code, "message": error.detail, "nodeId": row.step.node_id, "attempts": row.attempt}
    if row.step.path:
        document["path"] = row.step.path
    if cause := getattr(error, "cause", None):
        document["cause"] = cause
    return document


def run_output(schedule: Schedule) -> Json:
    """The output node's value; several by node id; without output nodes, the values of the last nodes."""
    outputs = schedule.final_outputs("output") or schedule.final_outputs()
    return next(iter(outputs.values())) if len(outputs) == 1 else (outputs or None)


def count(lease: Lease, status: ExecutionStatus) -> None:
    """Count the end of a run, which a run that waits has not reached."""
    if status is not ExecutionStatus.WAITING:
        metrics.RUNS.labels(status.value, lease.tier.value).inc()
