"""How many calls to AI providers, agents and APIs a tier allows in a month (calendar months in UTC).

A call is one node in one iteration, however many attempts it takes. It counts from before its first attempt, so that
nobody passes the limit, until its node fails or is cancelled: then the row goes. What is used is always counted from
rows. Where there is a limit each call is counted before it is made, one at a time for each user; where there is none
the journal writes the row along with the call's start.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.errors import Forbidden
from models.rules.pricing import PLANS, UNLIMITED, Tier
from models.user import User

Json = Any
Step = tuple[UUID, str, str]  # execution, node and path

_LIMITS = {
    tier.value: plan.limits.api_calls_per_month
    for tier, plan in PLANS.items()
    if plan.limits.api_calls_per_month != UNLIMITED
}
_ROOM = orjson.dumps(_LIMITS).decode()

_COUNT = text("""
    INSERT INTO api_calls (execution_id, node_id, path, user_id)
    SELECT e.id, begun.node_id, begun.path, e.user_id
      FROM jsonb_to_recordset(CAST(:steps AS jsonb)) AS begun(execution_id uuid, node_id text, path text)
      JOIN workflow_executions e ON e.id = begun.execution_id
        ON CONFLICT DO NOTHING
""")

# A tier that is not in :room has no limit. What a vanished driver had reserved already is granted again.
_RESERVE = text("""
    INSERT INTO api_calls AS mine (execution_id, node_id, path, user_id)
    SELECT :execution, :node, :path, u.id
      FROM users u
     WHERE u.id = :user
       AND CASE WHEN CAST(:room AS jsonb) ? u.subscription_tier
                THEN (SELECT count(*) FROM api_calls c WHERE c.user_id = u.id AND c.at >= date_trunc('month', now()))
                     < CAST(CAST(:room AS jsonb)->>u.subscription_tier AS int)
                     OR EXISTS (SELECT FROM api_calls c
                                 WHERE c.execution_id = :execution AND c.node_id = :node AND c.path = :path)
                ELSE true END
        ON CONFLICT (execution_id, node_id, path) DO UPDATE SET path = mine.path
 RETURNING execution_id
""")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('calls:' || CAST(:user AS text), 0))")

_RELEASE = text("""
    DELETE FROM api_calls c
     USING jsonb_to_recordset(CAST(:steps AS jsonb)) AS failed(execution_id uuid, node_id text, path text)
     WHERE c.execution_id = failed.execution_id AND c.node_id = failed.node_id AND c.path = failed.path
""")

_USED = text("""
    SELECT count(*) AS used, date_trunc('month', now()) + interval '1 month' AS resets_at
      FROM api_calls WHERE user_id = :user AND at >= date_trunc('month', now())
""")

_CALLS_OUT = text("""
    SELECT EXISTS (SELECT FROM jsonb_array_elements(graph->'nodes') node WHERE node->>'type' = ANY(:types))
      FROM workflow_versions WHERE id = :version
""")
_TYPES = ["ai_agent", "api_call"]

# Runs that wait for calls whose owner has some now: another month has begun, or another tier.
_WAKE = text("""
    WITH short AS (
        SELECT DISTINCT user_id FROM workflow_executions
         WHERE status = 'waiting' AND waiting_for->'types' ? 'api_calls'
    ), supplied AS (
        SELECT u.id FROM short JOIN users u ON u.id = short.user_id
         WHERE CASE WHEN CAST(:room AS jsonb) ? u.subscription_tier
                    THEN (SELECT count(*) FROM api_calls c
                           WHERE c.user_id = u.id AND c.at >= date_trunc('month', now()))
                         < CAST(CAST(:room AS jsonb)->>u.subscription_tier AS int)
                    ELSE true END
    )
    UPDATE workflow_executions SET wake_at = now(), updated_at = now()
     WHERE id = ANY(ARRAY(
        SELECT e.id FROM supplied JOIN workflow_executions e ON e.user_id = supplied.id
         WHERE e.status = 'waiting' AND e.waiting_for->'types' ? 'api_calls'
           AND (e.wake_at IS NULL OR e.wake_at > now())
           FOR UPDATE OF e SKIP LOCKED))
 RETURNING id
""")


class ApiCallLimitReached(Forbidden):
    """The month's calls are used up."""

    code = "api_call_limit_reached"

    def __init__(self, tier: Tier, limit: int, resets_at: datetime) -> None:
        super().__init__(
            f"The {tier} tier allows {limit:,} AI and API calls per month, and they are used up: wait until"
            f" {resets_at:%Y-%m-%d} or choose a higher tier."
        )


@dataclass(frozen=True)
class CallsUsed:
    """This month's calls; `limit` is -1 where there is none."""

    used: int
    limit: int
    resets_at: datetime

    @property
    def is_used_up(self) -> bool:
        """Whether not one more is allowed."""
        return self.limit != UNLIMITED and self.used >= self.limit


def unlimited(session: Session, user_id: UUID) -> bool:
    """Whether this user's tier knows no limit now."""
    return session.scalar(select(User.subscription_tier).where(User.id == user_id)) not in _LIMITS


def reserve(session: Session, user_id: UUID, execution_id: UUID, node_id: str, path: str) -> bool:
    """Count a call that is about to be made; False, and nothing is counted, when the month's are used up.

    A repeat counts once. Calls of one user are counted one at a time until the transaction ends.
    """
    call = {"user": user_id, "execution": execution_id, "node": node_id, "path": path, "room": _ROOM}
    session.execute(_LOCK, call)
    return session.execute(_RESERVE, call).first() is not None


def count(session: Session, steps: Iterable[Step]) -> None:
    """Count calls that are begun, whatever the limit: they are `unlimited`, or counted already."""
    session.execute(_COUNT, {"steps": _rows(steps)})


def release(session: Session, steps: Iterable[Step]) -> None:
    """Count calls no longer; those that never counted are fine."""
    session.execute(_RELEASE, {"steps": _rows(steps)})


def used(session: Session, user_id: UUID, tier: Tier) -> CallsUsed:
    """What was used of this month's calls, and when the next month begins."""
    row = session.execute(_USED, {"user": user_id}).one()
    return CallsUsed(row.used, PLANS[tier].limits.api_calls_per_month, row.resets_at)


def require_some(session: Session, owner: User, version_id: UUID) -> None:
    """Raises `ApiCallLimitReached` for a new run of a graph that makes calls when not one is left."""
    tier = owner.subscription_tier
    if PLANS[tier].limits.api_calls_per_month == UNLIMITED:
        return
    month = used(session, owner.id, tier)
    if month.is_used_up and session.scalar(_CALLS_OUT, {"version": version_id, "types": _TYPES}):
        raise ApiCallLimitReached(tier, month.limit, month.resets_at)


def wake(session: Session) -> int:
    """Let runs go on that wait for calls and may make some now; answers how many."""
    return len(session.execute(_WAKE, {"room": _ROOM}).all())


def _rows(steps: Iterable[Step]) -> str:
    names = ("execution_id", "node_id", "path")
    return orjson.dumps([dict(zip(names, step, strict=True)) for step in steps]).decode()
