"""One run as the API shows it, wherever it does."""

from sqlalchemy.orm import Session

from api.bodies import show
from api.schemas.executions import ExecutionDetailOut, NodeOut
from models.base import Json
from models.services import executions
from models.services.executions import Sight, Standing


def document(session: Session, seen: Sight, standing: Standing | None = None) -> dict[str, Json]:
    """The run, why it is not moving (`standing`, where that is known already), each of its nodes, and its receipt."""
    execution = seen.run
    standing = standing or executions.standing(session, execution, seen.at)
    found = executions.recorded(session, execution)
    return {
        **show(ExecutionDetailOut, execution),
        "waitingFor": standing.waiting_for,
        "queuePosition": standing.queue_position,
        "nodes": show(NodeOut, executions.node_states(session, execution, found), many=True),
        "receipt": executions.receipt(session, execution, found),
    }
