"""One run as the API shows it, wherever it does."""

from sqlalchemy.orm import Session

from api.bodies import show
from api.schemas.executions import ExecutionDetailOut, NodeOut
from models.base import Json
from models.execution import Execution
from models.services import executions


def document(session: Session, execution: Execution) -> dict[str, Json]:
    """The run, why it is not moving, each of its nodes, and its receipt."""
    standing = executions.standing(session, execution)
    return {
        **show(ExecutionDetailOut, execution),
        "waitingFor": standing.waiting_for,
        "queuePosition": standing.queue_position,
        "nodes": show(NodeOut, executions.node_states(session, execution), many=True),
        "receipt": executions.receipt(session, execution),
    }
