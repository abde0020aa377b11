"""What is worked out of a run's row for those who look at it."""

from datetime import UTC, datetime
from typing import Any

from models.execution import Execution
from models.rules.waiting import at_a_glance


def duration(execution: Execution) -> float | None:
    """Seconds from start to end, or until now while it runs; None before it starts."""
    if execution.started_at is None:
        return None
    end = execution.finished_at or datetime.now(UTC)
    return round(max(0.0, (end - execution.started_at).total_seconds()), 3)


def glance(execution: Execution) -> Any:
    """Why it is not moving, as far as its row says; `GET /executions/{id}` says more."""
    return at_a_glance(
        execution.status,
        execution.waiting_for,
        deferred=execution.deferred_at is not None,
        executed=execution.nodes_executed,
        total=execution.nodes_total,
    )


def sentence(error: Any) -> str | None:
    """The app shows a run's error as text."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("code") or "The run failed.")
    return None if error is None else str(error)
