"""How routes and streams show a run: its JSON document, and when a client should poll again."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from api.http.parsing import show
from api.schemas.executions.executions import ExecutionDetailOut, NodeOut
from models.rules.executions.states import TERMINAL, ExecutionStatus
from models.serialization import Json
from models.services.executions import executions
from models.services.executions.executions import ExecutionSnapshot, Recorded, WaitStatus
from models.services.executions.node_states import outline
from models.tables import Execution

ACTIVE_SECONDS = 2  # for an active run: uses a tenth of a free account's rate limit
EXTERNAL_WAIT_SECONDS = 15  # while the run waits for a person, or for many other runs
MAX_SECONDS = 60  # while it waits for a distant timer, because it may be cancelled meanwhile
RUNS_A_SECOND = 5  # that start from a queue, at least
NO_SLOT_SECONDS = 5  # in place of a long poll, if all slots are taken


def document(
    session: Session,
    snapshot: ExecutionSnapshot,
    wait_status: WaitStatus | None = None,
    recorded: Recorded | None = None,
) -> dict[str, Json]:
    """The run with its nodes, its receipt and why it waits; the last two arguments are read unless they are given."""
    execution = snapshot.run
    wait_status = wait_status or executions.wait_status(session, execution, snapshot.at)
    found = recorded or executions.recorded(session, execution)
    return {
        **show(ExecutionDetailOut, execution),
        "waitingFor": wait_status.waiting_for,
        "queuePosition": wait_status.queue_position,
        "workflowVersion": outline(session, execution.version_id).number,
        "nodes": show(NodeOut, executions.node_states(session, execution, found), many=True),
        "receipt": executions.receipt(session, execution, found),
    }


def retry_after(execution: Execution, queue_position: int | None = None) -> int | None:
    """Seconds until the client should poll again; None if the run has ended. `queue_position` counts from 1."""
    if execution.status in TERMINAL:
        return None
    if execution.status is ExecutionStatus.QUEUED and queue_position is not None:
        return max(ACTIVE_SECONDS, min(EXTERNAL_WAIT_SECONDS, queue_position // RUNS_A_SECOND))
    if execution.status is not ExecutionStatus.WAITING:
        return ACTIVE_SECONDS
    kind = (execution.waiting_for or {}).get("type")
    if execution.wake_at is None or kind in ("approval", "budget"):
        return EXTERNAL_WAIT_SECONDS
    left = (execution.wake_at - datetime.now(UTC)).total_seconds()
    return max(ACTIVE_SECONDS, min(MAX_SECONDS, round(left) + 1))
