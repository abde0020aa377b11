"""How a driver leaves an execution: what is told, what is charged, what comes out."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from models.errors import ForgeError
from models.rules.deadlines import run_timed_out
from models.rules.pricing import PriceList
from models.rules.schedule import Schedule
from models.rules.states import ExecutionStatus
from models.services.journal import Ending
from models.services.leases import Lease
from models.services.wards import QUARANTINED
from workers.engine.outputs import OutputRefused, encode
from workers.engine.recorder import Recorder
from workers.engine.waits import Waits

Json = Any

SUSPECT = (1, 2)  # suspicion: it was under way when a worker died
WATCHED_CRASH, KILLED_WARD = 3, 4  # suspicion: it alone was watched when a worker died; its ward was killed, once
MAX_CRASHES = 2  # in a row, without getting further: it need not have been watched to be driven alone
MAX_DEATHS = 4  # in all: one that kills beside a branch that gets further each time would go on doing so


class Left(StrEnum):
    """Why nobody here drives a run any more."""

    ENDED = "ended"
    PARKED = "parked"
    HANDED_OVER = "handed_over"
    PUT_BACK = "put_back"  # it could not be begun here, which may pass: a sweep rings again
    POSTPONED = "postponed"  # the same, but not before a minute has passed
    WARDED = "warded"  # a process of its own saw to it
    LOST = "lost"
    BROKEN = "broken"  # a bug of ours


class WorkerDied(ForgeError):
    """The node was under way when its worker died, and says that it must not be repeated."""

    code = "worker_died"

    def __init__(self) -> None:
        super().__init__("The worker died during this node, and the node must not be repeated (onCrash: fail).")


@dataclass(frozen=True)
class Reason:
    """Why a run comes to an early end, and the status that it ends in."""

    status: ExecutionStatus
    message: str
    error: Json = None
    waiting_for: Json = None
    wake_at: datetime | None = None

    @classmethod
    def waiting(cls, waits: Waits) -> "Reason":
        """For a moment or for a person."""
        told = waits.told()
        return cls(ExecutionStatus.WAITING, told["message"], waiting_for=told, wake_at=waits.next_at)

    @classmethod
    def cancelled(cls) -> "Reason":
        """Somebody asked for it."""
        return cls(ExecutionStatus.CANCELLED, "Cancelled.")

    @classmethod
    def failed(cls, error: dict[str, Json]) -> "Reason":
        """A node failed, and nothing in the graph takes care of it."""
        return cls(ExecutionStatus.FAILED, f"Failed: {error['message']}", error)

    @classmethod
    def quarantined(cls, crashes: int, how: str) -> "Reason":
        """It took workers down, and then ended the process that was its own."""
        died = f"The worker died {crashes} times while it drove this run. Driven alone, it ended its process {how}."
        return cls.failed({"code": QUARANTINED, "message": died})

    @classmethod
    def internal(cls, message: str) -> "Reason":
        """A failure of ours."""
        return cls.failed({"code": "internal_error", "message": message})

    @classmethod
    def budget(cls, cap: Decimal, waits: Waits) -> "Reason":
        """The credits held for this run do not cover its next node. Its other waits end in their time."""
        sentence = f"The {cap} credits set aside for this run are used up; resume it with a higher limit."
        told = {"type": "budget", "message": sentence, "cap": float(cap)}
        return cls(ExecutionStatus.WAITING, sentence, waiting_for=told, wake_at=waits.next_at)


def must_be_alone(lease: Lease) -> bool:
    """Whether a run is believed to kill whoever drives it, so that only a process of its own may."""
    return lease.suspicion >= WATCHED_CRASH or lease.crashes >= MAX_CRASHES or lease.deaths >= MAX_DEATHS


def verdict_on_arrival(lease: Lease) -> Reason | None:
    """Whether a run that was just claimed must end before it begins."""
    if lease.cancelled:
        return Reason.cancelled()
    is_overdue = lease.deadline is not None and lease.deadline <= lease.claimed_at
    return Reason.failed(run_timed_out(lease.deadline)) if is_overdue else None


def announce(recorder: Recorder, lease: Lease) -> None:
    """The first line that a driver writes."""
    if lease.epoch == 1:
        recorder.event("execution.started", f"{lease.workflow_name} started.")
    else:
        recorder.event("execution.resumed", f"{lease.workflow_name} goes on.", data={"driver": lease.epoch})


def conclude(recorder: Recorder, schedule: Schedule, reason: Reason | None) -> Ending:
    """The last event of this driver, and the ending to be written with it."""
    if reason is None:
        try:
            _, output = encode(run_output(schedule))
        except OutputRefused as error:
            reason = Reason.failed({"code": error.code, "message": f"The run's output: {error.detail}"})
        else:
            recorder.event("execution.success", "Finished.")
            return Ending(ExecutionStatus.SUCCESS, output=output)
    level = "error" if reason.status is ExecutionStatus.FAILED else "info"
    recorder.event(f"execution.{reason.status}", reason.message, level=level, data=reason.error)
    return Ending(reason.status, error=reason.error, waiting_for=reason.waiting_for, wake_at=reason.wake_at)


def fee(recorder: Recorder, ending: Ending, price_list: PriceList) -> Decimal:
    """Credits for the run itself: due at its end, if any of its nodes was charged."""
    due = ending.status is not ExecutionStatus.WAITING and recorder.charged > 0
    return price_list.fee if due else Decimal(0)


def run_output(schedule: Schedule) -> Json:
    """The output node's value; several by node id; without output nodes, what the last nodes returned."""
    outputs = schedule.final_outputs("output") or schedule.final_outputs()
    return next(iter(outputs.values())) if len(outputs) == 1 else (outputs or None)
