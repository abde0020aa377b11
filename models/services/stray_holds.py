"""Settles holds that no run is going to settle: theirs is over, or gone.

Whatever ends a run settles its hold in the same transaction, so there are none unless rows were removed or restored by
hand, or we made a mistake. Their owners must not miss those credits for ever, and operators must hear of it.
"""

from collections.abc import Collection
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.services import alerts, credits

log = structlog.get_logger()

_STRAY = text("""
    SELECT h.execution_id AS id, h.user_id, h.amount,
           least(h.amount, coalesce(e.credits_charged, r.credits_charged, 0)) AS charged
      FROM credit_holds h
      LEFT JOIN workflow_executions e ON e.id = h.execution_id
      LEFT JOIN receipts r ON r.execution_id = h.execution_id
     WHERE h.status = 'held' AND (e.id IS NULL OR e.finished_at IS NOT NULL)
     ORDER BY h.execution_id LIMIT :limit
""")


def settle(session: Session, *, limit: int = 100) -> Collection[UUID]:
    """Capture what such a run was charged, as far as anybody knows, and release the rest; answers which runs'.

    Twice at once does it once, and raises one alert for each.
    """
    strays = {row.id: row for row in session.execute(_STRAY, {"limit": limit})}
    settled = credits.settle_many(session, {row.id: row.charged for row in strays.values()}) if strays else set()
    for stray in (strays[execution_id] for execution_id in settled):
        log.error("hold.stray", execution_id=str(stray.id), amount=str(stray.amount), charged=str(stray.charged))
        alerts.add(
            session,
            kind="stray_hold",
            subject=str(stray.id),
            detail=f"{stray.amount} credits were still held for a run that is over; {stray.charged} charged.",
            key=f"stray_hold:{stray.id}",
            user_id=stray.user_id,
        )
    return settled
