"""Metrics of a workflow's recent runs: totals, durations, a chart, and reasons of failures. Trials are left out.

Runs whose history was pruned are counted too, except for the reasons of their failures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from models.rules.values.periods import EPOCH, STEPS, TimeRange, steps
from models.services.workflows import workflows
from models.tables import User

# One pass over the runs of the range: a row for each interval with runs, and one without `start` for all of them.
_RUNS = text("""
    SELECT date_bin(:step, created_at, :epoch) AS start,
           count(*) AS executions,
           count(*) FILTER (WHERE status = 'success') AS successful,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
           sum(nodes_executed) AS nodes_executed,
           sum(credits_charged) AS credits_used,
           extract(epoch FROM avg(finished_at - started_at)) AS average,
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - started_at))
               AS percentiles
      FROM counted_runs
     WHERE workflow_id = :workflow AND created_at >= :since AND tried_node_id IS NULL
     GROUP BY GROUPING SETS ((date_bin(:step, created_at, :epoch)), ())
""")

_FAILURES = text("""
    SELECT error->>'code' AS code, error->>'nodeId' AS node_id, count(*) AS count, max(finished_at) AS last_at,
           (array_agg(error->>'message' ORDER BY finished_at DESC))[1] AS message
      FROM workflow_executions
     WHERE workflow_id = :workflow AND created_at >= :since AND status = 'failed' AND tried_node_id IS NULL
     GROUP BY 1, 2
     ORDER BY count DESC, last_at DESC
     LIMIT 5
""")


@dataclass(frozen=True)
class Tally:
    """Totals of runs; durations in seconds of those that started and ended, None without any."""

    start: datetime | None = None  # of the interval; None for the whole range
    executions: int = 0
    successful: int = 0
    failed: int = 0
    cancelled: int = 0
    nodes_executed: int = 0
    credits_used: Decimal = Decimal(0)
    average: float | None = None
    p50: float | None = None
    p95: float | None = None

    @property
    def success_rate(self) -> float | None:
        """The share of successful runs among those that succeeded or failed, 0 to 100; None without any."""
        ended = self.successful + self.failed
        return round(100 * self.successful / ended, 1) if ended else None

    @property
    def active(self) -> int:
        """The number of runs that have not ended."""
        return self.executions - self.successful - self.failed - self.cancelled


@dataclass(frozen=True)
class Metrics:
    """Metrics of the runs of a workflow that were submitted in a time range; `failures` are the most frequent ones."""

    workflow_id: UUID
    time_range: TimeRange
    since: datetime
    until: datetime
    total: Tally
    series: Sequence[Tally]
    failures: Sequence[Row[Any]]


def metrics(session: Session, owner: User, workflow_id: UUID, time_range: TimeRange) -> Metrics:
    """Metrics of the runs of the last hour, day, week or 30 days; raises `NotFound`."""
    workflows.check_owned(session, owner, workflow_id)
    now = datetime.now(UTC)
    starts = steps(time_range, now)
    parameters = {"workflow": workflow_id, "since": starts[0], "step": STEPS[time_range][0], "epoch": EPOCH}
    tallies = {row.start: _tally(row) for row in session.execute(_RUNS, parameters)}
    failures = session.execute(_FAILURES, {"workflow": workflow_id, "since": starts[0]}).all()
    series = [tallies.get(start, Tally(start)) for start in starts]
    return Metrics(workflow_id, time_range, starts[0], now, tallies.get(None, Tally()), series, failures)


def _tally(row: Row[Any]) -> Tally:
    p50, p95 = row.percentiles or (None, None)
    return Tally(
        start=row.start,
        executions=row.executions,
        successful=row.successful,
        failed=row.failed,
        cancelled=row.cancelled,
        nodes_executed=row.nodes_executed or 0,
        credits_used=row.credits_used or Decimal(0),
        average=_seconds(row.average),
        p50=_seconds(p50),
        p95=_seconds(p95),
    )


def _seconds(value: Any) -> float | None:
    return None if value is None else round(float(value), 3)
