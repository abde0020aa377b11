"""Dead letters: events of Stripe's that were given up, and runs that took their workers down. Seen, and tried again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.base import Json
from models.errors import Conflict, NotFound
from models.quarantine import QuarantinedRun
from models.rules.deadlines import DEFAULT_LIMITS, RunLimits
from models.services import retries
from models.services.retries import Retried
from models.user import User

_LETTERS = text("""
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
    """One of them, whatever it is; `created` is when it began, `received_at` when it came here."""

    kind: str  # stripe_event | execution
    id: str
    type: str
    reason: str | None
    attempts: int
    created: datetime
    received_at: datetime
    crashes: Json  # of a run: {at, worker} each
    user_id: UUID | None


def letters(session: Session, *, limit: int = 50, offset: int = 0) -> Sequence[DeadLetter]:
    """All that nobody tries again by itself, the newest first."""
    rows = session.execute(_LETTERS, {"limit": limit, "offset": offset})
    return [DeadLetter(*row) for row in rows]


def count(session: Session) -> int:
    """How many runs are kept apart, for the metric."""
    return session.scalars(select(func.count()).where(QuarantinedRun.retried_as.is_(None))).one()


def retry(
    session: Session, execution_id: UUID, *, repeat: Collection[str] = (), limits: RunLimits = DEFAULT_LIMITS
) -> Retried:
    """Start a run for the owner in place of a quarantined one, which takes over what that one finished.

    Raises `NotFound`, `Conflict` when it was done before, and what `retries.retry` raises.
    """
    letter = session.scalar(select(QuarantinedRun).where(QuarantinedRun.execution_id == execution_id).with_for_update())
    if letter is None:
        raise NotFound("dead letter")
    if letter.retried_as:
        raise Conflict(f"This run was tried again as {letter.retried_as}.")
    owner = session.get_one(User, letter.user_id)
    retried = retries.retry(session, owner, execution_id, repeat=repeat, limits=limits)
    letter.retried_as = retried.execution.id
    session.flush()
    return retried
