"""The backlog of each queue, counted from rows, because messages may be lost or doubled."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

# A deferred run waits for its owner's other runs and not for workers, so it does not count for the age.
_WAITING = text("""
    SELECT 'executions.' || priority AS queue, count(*) AS rows, count(deferred_at) AS deferred,
           min(created_at) FILTER (WHERE deferred_at IS NULL) AS oldest
      FROM workflow_executions WHERE status = 'queued' GROUP BY priority
     UNION ALL
    SELECT 'billing', count(*), 0, min(since)
      FROM (SELECT created_at AS since FROM stripe_requests WHERE status IN ('pending', 'working')
             UNION ALL
            SELECT received_at FROM stripe_events WHERE status IN ('received', 'waiting')) AS wanted
     UNION ALL
    SELECT 'notifications', count(*), 0, min(created_at)
      FROM notifications WHERE status IN ('pending', 'sending')
""")

_RUNS = text("""
    SELECT status, count(*) AS number FROM workflow_executions
     WHERE status IN ('running', 'cancelling') GROUP BY status
     UNION ALL
    SELECT 'waiting', count(*) FROM workflow_executions WHERE status = 'waiting'
""")


@dataclass(frozen=True)
class Waiting:
    """The waiting rows of a queue, of which `deferred` wait for another run of the same owner."""

    rows: int
    deferred: int
    oldest: datetime | None


def by_queue(session: Session) -> dict[str, Waiting]:
    """The waiting rows by queue; queues without waiting rows may be missing."""
    return {row.queue: Waiting(row.rows, row.deferred, row.oldest) for row in session.execute(_WAITING)}


def runs(session: Session) -> dict[str, int]:
    """The number of runs that have started and not ended, by status."""
    return {row.status: row.number for row in session.execute(_RUNS)}
