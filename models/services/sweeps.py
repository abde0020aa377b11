"""Finds executions that nobody will come for by himself, so that beat can ring for them again.

Rows are claimed with SKIP LOCKED and marked as rung, so two sweeps at once ring once.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from models.rules.pricing import PLANS, Priority, Tier

_RING = """
    UPDATE workflow_executions SET rung_at = now()
     WHERE id IN (
        SELECT id FROM workflow_executions
         WHERE {due}
         ORDER BY created_at
         LIMIT :limit
           FOR UPDATE SKIP LOCKED)
 RETURNING id, priority
"""

# A lease that ran out, a timer, a queued row whose doorbell was lost (never rung: the process died after its commit).
# Each for itself: however long the queue is, it keeps nobody from going on.
_DUE = [
    text(_RING.format(due=due))
    for due in (
        """lease_expires_at < now() AND coalesce(rung_at, '-infinity') < now() - make_interval(secs => :first)""",
        """status = 'waiting' AND wake_at <= now() AND deferred_at IS NULL
           AND coalesce(rung_at, '-infinity') < now() - make_interval(secs => :first)""",
        """status = 'queued' AND deferred_at IS NULL
           AND coalesce(rung_at, created_at + make_interval(secs => :first - :again))
               < now() - make_interval(secs => :again)""",
    )
]

# The oldest of those that were passed over because their owner had enough under way.
_NEXT = text("""
    UPDATE workflow_executions SET deferred_at = NULL, rung_at = now(), updated_at = now()
     WHERE id = (
        SELECT id FROM workflow_executions
         WHERE user_id = coalesce(CAST(:user AS uuid),
                                  (SELECT user_id FROM workflow_executions WHERE id = CAST(:after AS uuid)))
           AND status IN ('queued', 'waiting') AND deferred_at IS NOT NULL
         ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
 RETURNING id, priority
""")

_OWNERS_WITH_DEFERRED = text("""
    SELECT d.user_id, u.subscription_tier AS tier,
           (SELECT count(*) FROM workflow_executions r
             WHERE r.user_id = d.user_id AND r.status IN ('running', 'cancelling')) AS driven
      FROM (SELECT DISTINCT user_id FROM workflow_executions
             WHERE status IN ('queued', 'waiting') AND deferred_at IS NOT NULL) d
      JOIN users u ON u.id = d.user_id
""")

# A parent that was told of its child's end; a run that was called while its driver parked it.
_WOKEN = text("""
    SELECT p.id, p.priority FROM workflow_executions e JOIN workflow_executions p ON p.id = e.parent_execution_id
     WHERE e.id = :id AND e.finished_at IS NOT NULL AND p.status = 'waiting' AND p.wake_at <= now()
    UNION ALL
    SELECT id, priority FROM workflow_executions
     WHERE id = :id AND status = 'waiting' AND wake_at <= now() AND deferred_at IS NULL
""")

_SAME = text("SELECT id, priority FROM workflow_executions WHERE id = :id")

Turn = tuple[UUID, Priority]  # an execution to ring for, and its queue
FIRST_RING = 10.0  # seconds after its commit that a row's own doorbell has to arrive
RING_AGAIN = 60.0  # seconds between further rings: behind a backlog the first bell is merely late


def due(session: Session, *, limit: int = 500) -> Sequence[Turn]:
    """Executions to ring for now: of each kind the oldest, at most `limit`."""
    asked = {"first": FIRST_RING, "again": RING_AGAIN, "limit": limit}
    return [(row.id, Priority(row.priority)) for due in _DUE for row in session.execute(due, asked)]


def again(session: Session, execution_id: UUID) -> Sequence[Turn]:
    """The same run, in the queue where it waits."""
    return _turns(session, _SAME, execution_id)


def woken_by(session: Session, execution_id: UUID) -> Sequence[Turn]:
    """Who can go on now that this run ended or was parked: its parent, or the run itself."""
    return _turns(session, _WOKEN, execution_id)


def following(session: Session, execution_id: UUID) -> Sequence[Turn]:
    """Everybody to ring for now that nobody drives this run any more."""
    following = turn_after(session, execution_id)
    return [*woken_by(session, execution_id), *([following] if following else [])]


def turn_after(session: Session, execution_id: UUID) -> Turn | None:
    """The owner's oldest run that was passed over, to be rung for now that this one ended or was parked."""
    return _next_turn(session, {"user": None, "after": execution_id})


def forgotten_turns(session: Session) -> Sequence[Turn]:
    """Runs that were passed over although their owners have room now: whoever should have rung died."""
    turns = []
    for owner in session.execute(_OWNERS_WITH_DEFERRED).all():
        for _ in range(PLANS[Tier(owner.tier)].concurrent_runs - owner.driven):
            if (turn := _next_turn(session, {"user": owner.user_id, "after": None})) is None:
                break
            turns.append(turn)
    return turns


def _turns(session: Session, query: TextClause, execution_id: UUID) -> Sequence[Turn]:
    return [(row.id, Priority(row.priority)) for row in session.execute(query, {"id": execution_id})]


def _next_turn(session: Session, whose: dict[str, UUID | None]) -> Turn | None:
    row = session.execute(_NEXT, whose).one_or_none()
    return (row.id, Priority(row.priority)) if row else None
