"""The quota of calls to AI providers, agents and APIs in a calendar month (UTC).

Every request that is sent counts, also repeated, failed and abandoned ones. A node (in one iteration) has one row with
the number of its requests; requests are numbered, so counting one again changes nothing. For users with a limit each
request is counted before it is sent, one at a time, so that the limit is not exceeded; a request that was not sent is
returned. For users without a limit the journal counts a request together with its start.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.errors import Forbidden, Quota
from models.raw_statement import PreparedStatement, assembled
from models.rules.prices.pricing import PLANS, UNLIMITED, Tier
from models.serialization import to_json
from models.tables import User

_LIMITS = {
    tier.value: plan.limits.api_calls_per_month
    for tier, plan in PLANS.items()
    if plan.limits.api_calls_per_month != UNLIMITED
}
_ROOM = to_json(_LIMITS)

# A part of the journal's statement: count started requests regardless of the limit, for users without one; requests
# counted before change nothing. COUNTED_RUNS has the `id` and `user_id` of runs.
COUNT = """
    INSERT INTO api_calls AS mine (execution_id, node_id, path, user_id, last_request)
    SELECT e.id, begun.node_id, begun.path, e.user_id, max(begun.request)
      FROM jsonb_to_recordset(CAST(:requests AS jsonb))
           AS begun(execution_id uuid, node_id text, path text, request int)
      JOIN COUNTED_RUNS e ON e.id = begun.execution_id
     GROUP BY e.id, e.user_id, begun.node_id, begun.path
        ON CONFLICT (execution_id, node_id, path) DO UPDATE
       SET requests = mine.requests + 1, last_request = excluded.last_request
     WHERE mine.last_request < excluded.last_request
"""

_CALLS_OF_MONTH = """(SELECT coalesce(sum(c.requests), 0) FROM api_calls c
                      WHERE c.user_id = u.id AND c.at >= date_trunc('month', now(), 'UTC'))"""

# The condition that calls are left for the user :owner.
HAS_CALLS = f"(CAST(:max_calls AS int) IS NULL OR {_CALLS_OF_MONTH} < :max_calls)".replace("u.id", ":owner")

# A tier that is not in :room has no limit. A request that a vanished driver reserved before is granted again.
_RESERVE = assembled(
    """
    INSERT INTO api_calls AS mine (execution_id, node_id, path, user_id, last_request)
    SELECT :execution, :node, :path, u.id, :request
      FROM users u
     WHERE u.id = :user
       AND CASE WHEN CAST(:room AS jsonb) ? u.subscription_tier
                THEN CALLS_OF_MONTH < CAST(CAST(:room AS jsonb)->>u.subscription_tier AS int)
                     OR EXISTS (SELECT FROM api_calls c
                                 WHERE c.execution_id = :execution AND c.node_id = :node AND c.path = :path
                                   AND c.last_request >= :request)
                ELSE true END
        ON CONFLICT (execution_id, node_id, path) DO UPDATE
       SET requests = mine.requests + CASE WHEN mine.last_request < excluded.last_request THEN 1 ELSE 0 END,
           last_request = greatest(mine.last_request, excluded.last_request)
 RETURNING execution_id
""",
    CALLS_OF_MONTH=_CALLS_OF_MONTH,
)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('calls:' || CAST(:user AS text), 0))")

_RETURN = text("""
    UPDATE api_calls SET requests = requests - 1, last_request = last_request - 1
     WHERE execution_id = :execution AND node_id = :node AND path = :path AND last_request = :request
""")

_USED = PreparedStatement(
    """
    SELECT CALLS_OF_MONTH, (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'
      FROM users u WHERE u.id = :user
""",
    CALLS_OF_MONTH=_CALLS_OF_MONTH,
)

# Of the nodes of a trial only one runs.
_CALLS_OUT = text("""
    SELECT EXISTS (SELECT FROM jsonb_array_elements(graph->'nodes') node
                    WHERE node->>'type' = ANY(:types)
                      AND node->>'id' = coalesce(graph->'trial'->>'nodeId', node->>'id'))
      FROM workflow_versions WHERE id = :version
""")
_TYPES = ["ai_agent", "api_call"]

# Runs that wait for API calls and whose owner has some again, by a new month or another tier.
_WAKE = assembled(
    """
    WITH short AS (
        SELECT DISTINCT user_id FROM workflow_executions
         WHERE status = 'waiting' AND waiting_for->'types' ? 'api_calls'
    ), supplied AS (
        SELECT u.id FROM short JOIN users u ON u.id = short.user_id
         WHERE CASE WHEN CAST(:room AS jsonb) ? u.subscription_tier
                    THEN CALLS_OF_MONTH < CAST(CAST(:room AS jsonb)->>u.subscription_tier AS int)
                    ELSE true END
    )
    UPDATE workflow_executions SET wake_at = now(), updated_at = now()
     WHERE id = ANY(ARRAY(
        SELECT e.id FROM supplied JOIN workflow_executions e ON e.user_id = supplied.id
         WHERE e.status = 'waiting' AND e.waiting_for->'types' ? 'api_calls'
           AND (e.wake_at IS NULL OR e.wake_at > now())
           FOR UPDATE OF e SKIP LOCKED))
 RETURNING id
""",
    CALLS_OF_MONTH=_CALLS_OF_MONTH,
)


class ApiCallLimitReached(Forbidden):
    """The tier's API calls of this month are used up."""

    code = "api_call_limit_reached"

    def __init__(self, tier: Tier, month: "CallsUsed") -> None:
        super().__init__(
            f"The {tier} tier allows {month.limit:,} AI and API calls per month, and they are used up: wait until"
            f" {month.resets_at:%Y-%m-%d} or choose a higher tier.",
            quota=Quota(month.limit, month.used),
        )


@dataclass(frozen=True)
class CallsUsed:
    """The API calls of this month; `limit` is -1 if unlimited."""

    used: int
    limit: int
    resets_at: datetime

    @property
    def is_used_up(self) -> bool:
        """Whether no further call is allowed this month."""
        return self.limit != UNLIMITED and self.used >= self.limit


def is_unlimited(tier: Tier) -> bool:
    """Whether a tier has no limit."""
    return tier not in _LIMITS


def unlimited(session: Session, user_id: UUID) -> bool:
    """Whether this user's current tier has no limit."""
    return session.scalar(select(User.subscription_tier).where(User.id == user_id)) not in _LIMITS


def reserve(session: Session, user_id: UUID, execution_id: UUID, node_id: str, path: str, request: int = 1) -> bool:
    """Count a request before it is sent; returns False and counts nothing if the month's calls are used up.

    The same `request` number of a node counts once. Holds a lock on the user's requests until the transaction ends.
    """
    call = {"user": user_id, "execution": execution_id, "node": node_id, "path": path, "request": request}
    session.execute(_LOCK, call)
    return session.execute(_RESERVE, call | {"room": _ROOM}).first() is not None


def return_call(session: Session, execution_id: UUID, node_id: str, path: str, request: int) -> None:
    """Undo the count of a request that was not sent, if it is the node's last one; otherwise change nothing."""
    call = {"execution": execution_id, "node": node_id, "path": path, "request": request}
    session.execute(_RETURN, call)


def used(session: Session, user_id: UUID, tier: Tier) -> CallsUsed:
    """The calls used this month, and when the next month begins."""
    ((calls, resets_at),) = _USED.rows(session, {"user": user_id})
    return CallsUsed(int(calls), PLANS[tier].limits.api_calls_per_month, resets_at)


def require_some(session: Session, owner: User, version_id: UUID) -> None:
    """Raise `ApiCallLimitReached` if the graph of a new run makes API calls and none is left this month."""
    tier = owner.subscription_tier
    if PLANS[tier].limits.api_calls_per_month == UNLIMITED:
        return
    month = used(session, owner.id, tier)
    if month.is_used_up and session.scalar(_CALLS_OUT, {"version": version_id, "types": _TYPES}):
        raise ApiCallLimitReached(tier, month)


def bounds(tier: Tier) -> dict[str, int | None]:
    """The parameter of `HAS_CALLS`; None if unlimited."""
    return {"max_calls": _LIMITS.get(tier.value)}


def wake(session: Session) -> int:
    """Make runs due that wait for API calls and whose owners have some again; returns how many."""
    return len(session.execute(_WAKE, {"room": _ROOM}).all())
