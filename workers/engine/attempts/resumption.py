"""Steps that an earlier driver left open: attempts to continue, and steps to give up and charge."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from models.errors import ForgeError
from models.rules.executions.schedule import Schedule, Step
from models.rules.executions.states import UNSETTLED, NodeStatus
from models.rules.graph.effects import AgentTurn
from models.rules.prices.charging import FREE
from models.serialization import Json
from models.services.orchestration.journal import NodeRow
from models.services.orchestration.leases import PastStep
from workers.engine.journal.progress_buffer import ProgressBuffer
from workers.engine.values import clock
from workers.engine.values.attempt import StepAttempt
from workers.engine.values.wait_reasons import ChildRun, QuotaReset, WaitReason, read_reason

Past = Mapping[Step, PastStep]


class WorkerDied(ForgeError):
    """The worker died during the node, which must not be repeated."""

    code = "worker_died"

    def __init__(self) -> None:
        super().__init__("The worker died during this node, and the node must not be repeated (onCrash: fail).")


def resume_attempt(attempt: StepAttempt, past: PastStep | None) -> WaitReason | WorkerDied | None:
    """Take over a recorded attempt: return why it still waits, that it must not be repeated, or None to start it.

    A call in progress when its worker died is the same attempt again, under the same key.
    """
    if past is None:
        return None
    attempt.resume(past)
    if past.status is NodeStatus.WAITING:  # parked between two attempts
        reason = read_reason(past.external_ref)
        return None if isinstance(reason, QuotaReset) else reason  # the quota is checked again
    if past.status is NodeStatus.RUNNING:
        found_again = isinstance(attempt.effect, AgentTurn) and attempt.in_flight_ref
        if attempt.call.node.on_crash == "fail" and not found_again:
            return WorkerDied()
    return None


def owed(past: Past) -> dict[Step, Decimal]:
    """Credits that each of them costs if it is given up; free ones are left out."""
    return {step: row.due for step, row in past.items() if row.due and row.status in UNSETTLED}


def take_inside(past: dict[Step, PastStep], loop: Step, schedule: Schedule) -> dict[Step, PastStep]:
    """Remove the steps inside `loop`, which is given up, from `past` and return them."""
    inside = [step for step in past if schedule.is_inside(step, loop)]
    return {step: past.pop(step) for step in inside}


def give_up(past: Past, buffer: ProgressBuffer, *, charged: bool) -> list[Json]:
    """Record them as cancelled and stop their child runs; return the references of the calls to stop."""
    for given_up in cancelled(past, charged=charged):
        buffer.node(given_up)
    for row in past.values():
        reason = read_reason(row.external_ref) if row.status is NodeStatus.WAITING and row.external_ref else None
        if isinstance(reason, ChildRun):
            buffer.abandon(reason.run_id)
    return [row.external_ref for row in past.values() if row.status is NodeStatus.RUNNING and row.external_ref]


def cancelled(past: Past, *, charged: bool) -> Iterator[NodeRow]:
    """The rows that record them as cancelled; with `charged` they are paid if they were sent."""
    for step, row in past.items():
        if row.status in UNSETTLED:
            yield NodeRow(
                step,
                NodeStatus.CANCELLED,
                row.attempt,
                row.started_at or clock.now(),
                finished_at=clock.now(),
                credits=row.due if charged else FREE,
                external_ref=row.external_ref,
            )
