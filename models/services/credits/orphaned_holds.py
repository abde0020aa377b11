"""Settles orphaned holds, whose run has ended or does not exist.

The end of a run settles its hold in the same transaction, so orphaned holds come from rows that were removed or
restored by hand, or from bugs. They are settled, so that their owners get the credits back, and raise an alert.
"""

from collections.abc import Collection
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.services.credits import ledger
from models.services.operations import alerts

log = structlog.get_logger()

_ORPHANED = text("""
    SELECT h.execution_id AS id, h.user_id, h.amount,
           least(h.amount, coalesce(e.credits_charged, r.credits_charged, 0)) AS charged
      FROM credit_holds h
      LEFT JOIN workflow_executions e ON e.id = h.execution_id
      LEFT JOIN receipts r ON r.execution_id = h.execution_id
     WHERE h.status = 'held' AND (e.id IS NULL OR e.finished_at IS NOT NULL)
     ORDER BY h.execution_id LIMIT :limit
""")


def settle(session: Session, *, limit: int = 100) -> Collection[UUID]:
    """Capture the recorded charge of orphaned holds and release the rest; returns the ids of their runs.

    Two calls at once settle each hold once and raise one alert for it.
    """
    orphaned = {row.id: row for row in session.execute(_ORPHANED, {"limit": limit})}
    settled = ledger.settle_many(session, {row.id: row.charged for row in orphaned.values()}) if orphaned else set()
    for hold in (orphaned[execution_id] for execution_id in settled):
        log.error("hold.orphaned", execution_id=str(hold.id), amount=str(hold.amount), charged=str(hold.charged))
        alerts.add(
            session,
            kind="orphaned_hold",
            subject=str(hold.id),
            detail=f"{hold.amount} credits were still held for a run that is over; {hold.charged} charged.",
            key=f"orphaned_hold:{hold.id}",
            user_id=hold.user_id,
        )
    return settled
