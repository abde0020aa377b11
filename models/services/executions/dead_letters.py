"""Lists and retries dead letters: Stripe events that failed too often, and quarantined runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound
from models.rules.executions.deadlines import DEFAULT_TIME_LIMITS, RunTimeLimits
from models.serialization import Json
from models.services.executions import retries
from models.services.executions.retries import Retried
from models.tables import QuarantinedRun, User

_DEAD_LETTERS = text("""
    SELECT * FROM (
        SELECT 'stripe_event' AS kind, id, type, error AS reason, attempts, created, received_at,
               NULL::jsonb AS crashes, NULL::uuid AS user_id
          FROM stripe_events WHERE status = 'dead'
         UNION ALL
        SELECT 'execution', execution_id::text, 'execution.quarantined', reason, jsonb_array_length(crashes),
               submitted_at, quarantined_at, crashes, user_id
          FROM quarantined_runs WHERE retried_as IS NULL) AS letters
     ORDER BY received_at DESC, id LIMIT :limit OFFSET :offset
""")


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter of either kind.

    `created` is when the event was created or the run submitted, `received_at` when the event was received or the run
    quarantined.
    """

    kind: str  # stripe_event | execution
    id: str
    type: str
    reason: str | None
    attempts: int
    created: datetime
    received_at: datetime
    crashes: Json  # of a run: {at, worker} each
    user_id: UUID | None


def dead_letters(session: Session, *, limit: int = 50, offset: int = 0) -> Sequence[DeadLetter]:
    """A page of dead letters, newest first."""
    rows = session.execute(_DEAD_LETTERS, {"limit": limit, "offset": offset})
    return [DeadLetter(*row) for row in rows]


def count(session: Session) -> int:
    """The number of quarantined runs that were not retried, for metrics."""
    return session.scalars(select(func.count()).where(QuarantinedRun.retried_as.is_(None))).one()


def retry(
    session: Session, execution_id: UUID, *, repeat: Collection[str] = (), limits: RunTimeLimits = DEFAULT_TIME_LIMITS
) -> Retried:
    """Start a run that replaces a quarantined one and reuses its finished results.

    Raises `NotFound`, `Conflict` if it was retried before, and the errors of `retries.retry`.
    """
    letter = session.scalar(select(QuarantinedRun).where(QuarantinedRun.execution_id == execution_id).with_for_update())
    if letter is None:
        raise NotFound("dead letter")
    if letter.retried_as:
        raise Conflict(f"This run was already retried as {letter.retried_as}.")
    owner = session.get_one(User, letter.user_id)
    retried = retries.retry(session, owner, execution_id, repeat=repeat, limits=limits)
    letter.retried_as = retried.execution.id
    session.flush()
    return retried
