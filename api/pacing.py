"""When a client should ask for a run again: as soon as there may be news, and not sooner."""

from datetime import UTC, datetime

from models.execution import Execution
from models.rules.states import TERMINAL, ExecutionStatus

SOON = 2  # seconds, while something happens: half of what a free account may ask
LATER = 15  # while it is a person's turn, or many other runs'
LATEST = 60  # before a timer that is far away: the run may be cancelled meanwhile
RUNS_A_SECOND = 5  # at least, that leave a queue
BUSY = 5  # instead of a wait, when all places are taken


def seconds_until_news(execution: Execution, place: int | None = None) -> int | None:
    """None when nothing will come any more. `place` is the run's in the queue, from 1, where it has one."""
    if execution.status in TERMINAL:
        return None
    if execution.status is ExecutionStatus.QUEUED and place is not None:
        return max(SOON, min(LATER, place // RUNS_A_SECOND))
    if execution.status is not ExecutionStatus.WAITING:
        return SOON
    kind = (execution.waiting_for or {}).get("type")
    if execution.wake_at is None or kind in ("approval", "budget"):
        return LATER
    left = (execution.wake_at - datetime.now(UTC)).total_seconds()
    return max(SOON, min(LATEST, round(left) + 1))
