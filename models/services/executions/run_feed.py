"""The changes of all runs of a user, for clients that show a live list.

A feed watches the user's newest runs that have not ended, and notices new ones by the newest run of all.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.rules.executions.states import TERMINAL, ExecutionStatus
from models.services.executions import listing
from models.tables import Execution, User

ACTIVE = frozenset(ExecutionStatus) - TERMINAL
MAX_WATCHED = 200  # of the runs that have not ended
MAX_RESUMED = 100  # of the newest runs, of which changes while the client was away are found
OVERLAP = timedelta(seconds=10)  # a change is visible later than its time by the length of its transaction

_VERSIONS = text("""
    SELECT id, last_seq || ' ' || status AS version FROM workflow_executions WHERE id = ANY(CAST(:ids AS uuid[]))
     UNION ALL
    SELECT u.id, CAST(newest.id AS text)
      FROM users u CROSS JOIN LATERAL (
            SELECT e.id FROM workflow_executions e WHERE e.user_id = u.id
             ORDER BY e.created_at DESC, e.id DESC LIMIT 1) AS newest
     WHERE u.id = ANY(CAST(:ids AS uuid[]))
""")


def now(session: Session) -> datetime:
    """The database's clock, which is the same for all processes."""
    found: datetime = session.scalars(select(func.clock_timestamp())).one()
    return found


def runs(session: Session, owner: User, *, known: Collection[UUID], since: datetime | None) -> Sequence[Execution]:
    """The runs to show: those that have not ended, those in `known`, and the newest ones that changed after `since`."""
    found = {run.id: run for run in listing.list_owned(session, owner, among=ACTIVE, limit=MAX_WATCHED)}
    if ended := [run_id for run_id in known if run_id not in found]:
        found |= {run.id: run for run in listing.list_owned(session, owner, ids=ended, limit=len(ended))}
    if since is not None:
        newest = listing.list_owned(session, owner, limit=MAX_RESUMED)
        found |= {run.id: run for run in newest if run.updated_at > since - OVERLAP}
    return sorted(found.values(), key=lambda run: run.created_at)


def versions(session: Session, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """The versions of the runs among `ids`, and for the users among them that of their newest run."""
    return {row.id: row.version for row in session.execute(_VERSIONS, {"ids": list(ids)})}
