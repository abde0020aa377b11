"""Finds executions that nobody will come for by himself, so that beat can ring for them again.

Rows are claimed with SKIP LOCKED and marked as rung, so two sweeps at once ring once.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.pricing import Priority

# A queued row whose doorbell was lost (never rung: the process died after its commit), a lease that ran out, a timer.
_DUE = text("""
    UPDATE workflow_executions SET rung_at = now()
     WHERE id IN (
        SELECT id FROM workflow_executions
         WHERE (status = 'queued'
                AND coalesce(rung_at, created_at + make_interval(secs => :first - :again))
                    < now() - make_interval(secs => :again))
            OR (lease_expires_at < now()
                AND coalesce(rung_at, '-infinity') < now() - make_interval(secs => :first))
            OR (status = 'waiting' AND wake_at <= now()
                AND coalesce(rung_at, '-infinity') < now() - make_interval(secs => :first))
         ORDER BY created_at
         LIMIT :limit
           FOR UPDATE SKIP LOCKED)
 RETURNING id, priority
""")

FIRST_RING = 10.0  # seconds after its commit that a row's own doorbell has to arrive
RING_AGAIN = 60.0  # seconds between further rings: behind a backlog the first bell is merely late


def due(session: Session, *, limit: int = 500) -> Sequence[tuple[UUID, Priority]]:
    """Executions to ring for now, the oldest first, at most `limit`."""
    rows = session.execute(_DUE, {"first": FIRST_RING, "again": RING_AGAIN, "limit": limit})
    return [(row.id, Priority(row.priority)) for row in rows]
