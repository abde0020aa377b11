"""Queues that an operator paused: their messages stay in the broker, and workers take none of them.

Workers read these rows with every heartbeat, so that a pause outlives their restart and holds on every host.
"""

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.tables import PausedQueue

# What workers took from each queue and have not done; the tasks of `maintenance` leave no such rows.
_UNDER_WAY = text("""
    SELECT count(*) FROM workflow_executions
     WHERE status IN ('running', 'cancelling') AND lease_expires_at > clock_timestamp()
       AND 'executions.' || priority = :queue
     UNION ALL
    SELECT count(*) FROM stripe_requests WHERE status = 'working' AND :queue = 'billing'
     UNION ALL
    SELECT count(*) FROM notifications WHERE status = 'sending' AND :queue = 'notifications'
""")

# A worker reads the pauses after each heartbeat that it writes.
_UNAWARE = text("""
    SELECT w.name FROM workers w JOIN paused_queues p ON w.queues ? p.queue
     WHERE p.queue = :queue AND w.seen_at <= p.paused_at
       AND w.seen_at > clock_timestamp() - make_interval(secs => 4 * w.report_interval)
     ORDER BY w.name
""")


def pause(session: Session, queue: str, *, by: str) -> bool:
    """Pause a queue; returns False if it was paused before."""
    row = insert(PausedQueue).values(queue=queue, paused_by=by).on_conflict_do_nothing()
    return session.scalar(row.returning(PausedQueue.queue)) is not None


def resume(session: Session, queue: str) -> bool:
    """Let workers consume a queue again; returns False if it was not paused."""
    row = delete(PausedQueue).where(PausedQueue.queue == queue)
    return session.scalar(row.returning(PausedQueue.queue)) is not None


def paused(session: Session) -> frozenset[str]:
    """The names of the paused queues."""
    return frozenset(session.scalars(select(PausedQueue.queue)))


def unaware(session: Session, queue: str) -> list[str]:
    """The names of the live workers that have not read the pause of a queue yet."""
    return list(session.scalars(_UNAWARE, {"queue": queue}))


def under_way(session: Session, queue: str) -> int:
    """The number of rows that workers took from a queue and have not done."""
    return sum(session.scalars(_UNDER_WAY, {"queue": queue}))
