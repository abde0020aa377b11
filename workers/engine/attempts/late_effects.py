"""Records results that come after their step was given up; they are not used. The step was charged when it ended."""

import structlog
from sqlalchemy.exc import SQLAlchemyError

from models.db import session_scope
from models.rules.graph.effects import HttpResponse, TextResult
from models.serialization import Json
from models.services.orchestration import late_results
from models.services.orchestration.leases import Lease
from workers.engine.journal.progress_buffer import ProgressBuffer
from workers.engine.values.attempt import StepAttempt

TYPE = "node.late_result"
log = structlog.get_logger()


def record(buffer: ProgressBuffer, attempt: StepAttempt, result: object) -> None:
    """Add a late result to the history of a run that goes on; failures are not recorded."""
    if (facts := _facts(result)) is not None:
        buffer.event(TYPE, _message(attempt), step=attempt.step, level="warning", data=facts)


def record_late_result(lease: Lease, attempt: StepAttempt, result: object) -> None:
    """Add a late result to the history of a run that is over."""
    if (facts := _facts(result)) is None:
        return
    try:
        with session_scope() as session:
            late_results.add(session, lease.execution_id, attempt.step, TYPE, _message(attempt), facts)
    except SQLAlchemyError as error:
        log.warning("late_result.record_failed", execution_id=str(lease.execution_id), error=type(error).__name__)


def _message(attempt: StepAttempt) -> str:
    label = attempt.call.node.label
    return f"{label} responded after it had been given up. The result is not used."


def _facts(result: object) -> dict[str, Json] | None:
    """The facts to record of a result; None for a failure."""
    if isinstance(result, HttpResponse):
        return {"status": result.status}
    return {"usage": dict(result.usage)} if isinstance(result, TextResult) else None
