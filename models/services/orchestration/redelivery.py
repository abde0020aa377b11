"""Finds the executions to enqueue: stalled ones for the sweep, and those that can go on after another one.

Stalled rows are selected with SKIP LOCKED and marked as enqueued, so that two sweeps at once enqueue each once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.raw_statement import PreparedStatement, RawStatement, assembled
from models.rules.prices.pricing import PLANS, Priority, Tier
from models.services.orchestration.leases import DRIVEN_RUNS


class TaskTarget(NamedTuple):
    """An execution to enqueue."""

    execution_id: UUID
    priority: Priority  # which selects the queue
    workflow_id: UUID  # for operators, who look for runs in the list of messages


_MARK_ENQUEUED = """
    UPDATE workflow_executions SET enqueued_at = now()
     WHERE id IN (
        SELECT id FROM workflow_executions
         WHERE {due}
         ORDER BY created_at
         LIMIT :limit
           FOR UPDATE SKIP LOCKED)
 RETURNING id, priority, workflow_id
"""

# Expired leases, due timers, and queued rows whose message was lost or never published because the process died after
# its commit. Separate queries, so that many rows of one kind do not delay the others.
_STALLED = [
    text(_MARK_ENQUEUED.format(due=due))
    for due in (
        """lease_expires_at < now() AND coalesce(enqueued_at, '-infinity') < now() - make_interval(secs => :first)""",
        """status = 'waiting' AND wake_at <= now() AND deferred_at IS NULL
           AND coalesce(enqueued_at, '-infinity') < now() - make_interval(secs => :first)""",
        """status = 'queued' AND deferred_at IS NULL
           AND coalesce(enqueued_at, created_at + make_interval(secs => :first - :again))
               < now() - make_interval(secs => :again)""",
    )
]

# The oldest deferred run of an owner. A queued one gets its first message now, which is redelivered as early as that of
# a run that was never deferred: the broker may be unreachable now.
_UNDEFER = """
    UPDATE workflow_executions
       SET deferred_at = NULL, updated_at = now(),
           enqueued_at = now() - make_interval(secs => CASE WHEN status = 'queued' THEN LATE ELSE 0 END)
     WHERE id = (
        SELECT id FROM workflow_executions
         WHERE user_id = OWNER AND status IN ('queued', 'waiting') AND deferred_at IS NOT NULL
         ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
 RETURNING id, priority, workflow_id
"""
_OWNERS_WITH_DEFERRED = assembled(
    """
    SELECT u.id, u.subscription_tier AS tier, DRIVEN_RUNS AS driven
      FROM (SELECT DISTINCT user_id FROM workflow_executions
             WHERE status IN ('queued', 'waiting') AND deferred_at IS NOT NULL) d
      JOIN users u ON u.id = d.user_id
""",
    DRIVEN_RUNS=DRIVEN_RUNS,
)

# The parent of an ended run that is due, or the run itself if it became due while its driver parked it.
_WOKEN = """
    SELECT p.id, p.priority, p.workflow_id
      FROM workflow_executions e JOIN workflow_executions p ON p.id = e.parent_execution_id
     WHERE e.id = :id AND e.finished_at IS NOT NULL AND p.status = 'waiting' AND p.wake_at <= now()
    UNION ALL
    SELECT id, priority, workflow_id FROM workflow_executions
     WHERE id = :id AND status = 'waiting' AND wake_at <= now() AND deferred_at IS NULL
"""
_WOKEN_BY = PreparedStatement(_WOKEN)

FIRST_REDELIVERY_SECONDS = 10.0  # after which the message of a row is considered lost
REDELIVERY_SECONDS = 60.0  # between further messages, because behind a backlog the first one may only be late
_INTERVALS = {"first": FIRST_REDELIVERY_SECONDS, "again": REDELIVERY_SECONDS}
_LATE = str(REDELIVERY_SECONDS - FIRST_REDELIVERY_SECONDS)

_ITSELF = PreparedStatement("SELECT id, priority, workflow_id FROM workflow_executions WHERE id = :id")
_NEXT_OF_OWNER = RawStatement(_UNDEFER, OWNER=":id", LATE=_LATE)
_NEXT_AFTER = PreparedStatement(
    "WITH undeferred AS (UNDEFER) WOKEN UNION ALL SELECT id, priority, workflow_id FROM undeferred",
    UNDEFER=_UNDEFER,
    WOKEN=_WOKEN,
    OWNER="(SELECT user_id FROM workflow_executions WHERE id = :id)",
    LATE=_LATE,
)


def stalled(session: Session, *, limit: int = 500) -> Sequence[TaskTarget]:
    """Stalled executions to enqueue: at most `limit` of each kind, oldest first."""
    parameters = {**_INTERVALS, "limit": limit}
    return [_target(*row) for query in _STALLED for row in session.execute(query, parameters)]


def requeue(execution_id: UUID) -> Sequence[TaskTarget]:
    """The run itself, to enqueue it again after a release."""
    return _targets(_ITSELF.rows_alone({"id": execution_id}))


def woken_by(execution_id: UUID) -> Sequence[TaskTarget]:
    """The runs that are due after this one ended or was parked: its parent, or the run itself."""
    return _targets(_WOKEN_BY.rows_alone({"id": execution_id}))


def next_after(execution_id: UUID) -> Sequence[TaskTarget]:
    """All runs to enqueue after this one was left by its driver: those it woke, and its owner's oldest deferred one.

    It is a transaction of its own, like the others that a driver causes, and is committed when this returns.
    """
    return _targets(_NEXT_AFTER.rows_alone({"id": execution_id}))


def unclaimed_slots(session: Session) -> Sequence[TaskTarget]:
    """Deferred runs whose owners have free slots, because the process that should have enqueued them died."""
    targets: list[TaskTarget] = []
    for owner in session.execute(_OWNERS_WITH_DEFERRED).all():
        for _ in range(PLANS[Tier(owner.tier)].concurrent_runs - owner.driven):
            found = _targets(_NEXT_OF_OWNER.rows(session, {"id": owner.id}))
            if not found:
                break
            targets += found
    return targets


def _targets(rows: Sequence[tuple[Any, ...]]) -> Sequence[TaskTarget]:
    return [_target(*row) for row in rows]


def _target(run: UUID, priority: str, workflow: UUID) -> TaskTarget:
    return TaskTarget(run, Priority(priority), workflow)
