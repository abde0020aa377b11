"""Results that came after their step was given up: told, and neither used nor charged for."""

from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from models.db import session_scope
from models.rules.effects import HttpAnswer, TextAnswer
from models.services import late_results
from models.services.leases import Lease
from workers.engine.recorder import Recorder
from workers.engine.running import Running

Json = Any
TYPE = "node.late_result"
log = structlog.get_logger()


def record(recorder: Recorder, running: Running, outcome: object) -> None:
    """Tell it in the history of a run that goes on; what is no result is not worth a line."""
    if (facts := _facts(outcome)) is not None:
        recorder.event(TYPE, _message(running), step=running.step, level="warning", data=facts)


def tell(lease: Lease, running: Running, outcome: object) -> None:
    """Add it to the history of a run that is over."""
    if (facts := _facts(outcome)) is None:
        return
    try:
        with session_scope() as session:
            late_results.add(session, lease.execution_id, running.step, TYPE, _message(running), facts)
    except SQLAlchemyError as error:
        log.warning("late_result.not_told", execution_id=str(lease.execution_id), error=type(error).__name__)


def _message(running: Running) -> str:
    label = running.call.node.label
    return f"{label} answered after it had been given up. The answer is not used and not charged for."


def _facts(outcome: object) -> dict[str, Json] | None:
    """What is worth keeping of an answer; None when the other side did not do what it was asked for."""
    if isinstance(outcome, HttpAnswer):
        return {"status": outcome.status}
    return {"usage": dict(outcome.usage)} if isinstance(outcome, TextAnswer) else None
