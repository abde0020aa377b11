"""Fields of responses that are derived from a run's row."""

from datetime import UTC, datetime
from typing import Any

from models.rules.executions.waiting_for import summary
from models.tables import Execution


def duration(execution: Execution) -> float | None:
    """Seconds from start to end, or until now while it runs; None before it starts."""
    if execution.started_at is None:
        return None
    end = execution.finished_at or datetime.now(UTC)
    return round(max(0.0, (end - execution.started_at).total_seconds()), 3)


def wait_summary(execution: Execution) -> Any:
    """Why the run waits, as far as its row says; `GET /executions/{id}` says more."""
    return summary(
        execution.status,
        execution.waiting_for,
        deferred=execution.deferred_at is not None,
        executed=execution.nodes_executed,
        total=execution.nodes_total,
    )


def sentence(error: Any) -> str | None:
    """A run's error as text, which the app shows."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("code") or "The run failed.")
    return None if error is None else str(error)
