"""Storage used by users: the size on disk of workflow versions and templates, and the stored data of their runs.

A run's input, results, errors and events are counted in its row as they are written (`run_size`). The sum is measured
from the rows, so that it cannot drift. As that reads all of a user's runs, a periodic task measures users who stored
something, at most once per `GOOD_FOR` seconds; in between, the last measurement counts.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import Uuid

from models.errors import Forbidden, Quota
from models.raw_statement import PreparedStatement
from models.rules.prices.pricing import PLANS, Tier
from models.tables import User

MB = 1_000_000
# Seconds for which a measurement counts: the smaller a limit, the sooner it is exceeded.
GOOD_FOR = {Tier.FREE: 60, Tier.PREMIUM: 600, Tier.ENTERPRISE: 3600}

_LAST = PreparedStatement("""
    SELECT bytes, wanted_at IS NULL AND measured_at < now() - make_interval(secs => :good_for) AS is_old
      FROM storage_used WHERE user_id = :user
""")
# The condition that `require_room` does nothing for the user :owner.
HAS_ROOM = """
    EXISTS (SELECT FROM storage_used s
             WHERE s.user_id = :owner AND s.bytes < :max_bytes
               AND (s.wanted_at IS NOT NULL OR s.measured_at >= now() - make_interval(secs => :good_for)))
"""
_WANT = text("""
    INSERT INTO storage_used AS s (user_id, wanted_at) VALUES (:user, now())
        ON CONFLICT (user_id) DO UPDATE SET wanted_at = coalesce(s.wanted_at, now())
""")

# Reads sizes only, no large values.
_MEASURE = text("""
    INSERT INTO storage_used (user_id, bytes)
    SELECT :user,
           (SELECT coalesce(sum(pg_column_size(v.graph) + pg_column_size(v.description)), 0)
              FROM workflows w JOIN workflow_versions v ON v.workflow_id = w.id
             WHERE w.user_id = :user AND w.deleted_at IS NULL)
           + (SELECT coalesce(sum(pg_column_size(graph)), 0) FROM templates
               WHERE owner_id = :user AND deleted_at IS NULL)
           -- Ended runs of deleted workflows are not counted, because they are about to be removed.
           + (SELECT coalesce(sum(e.stored_bytes), 0)
                FROM workflow_executions e JOIN workflows w ON w.id = e.workflow_id
               WHERE e.user_id = :user AND e.expired_at IS NULL
                 AND (w.deleted_at IS NULL OR e.finished_at IS NULL))
        ON CONFLICT (user_id) DO UPDATE SET bytes = excluded.bytes, measured_at = now(), wanted_at = NULL
 RETURNING bytes
""")
_FREED = text("""
    UPDATE storage_used SET wanted_at = coalesce(wanted_at, now()) WHERE user_id = ANY(ARRAY(
        SELECT user_id FROM storage_used WHERE user_id = ANY(:users) FOR UPDATE SKIP LOCKED))
""").bindparams(bindparam("users", type_=ARRAY(Uuid())))
_WANTED = text("""
    SELECT user_id FROM storage_used WHERE wanted_at IS NOT NULL
     ORDER BY wanted_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")


class StorageLimitReached(Forbidden):
    """The storage of the tier is used up."""

    code = "storage_limit_reached"

    def __init__(self, tier: Tier, limit: int, used: int) -> None:
        super().__init__(
            f"The {tier} tier allows {limit:,} MB, and you store {used / MB:,.1f} MB in workflows, templates and runs"
            " with their results: delete workflows or templates, wait until old runs expire, or choose a higher tier.",
            quota=Quota(limit, round(used / MB, 1)),
        )


def require_room(session: Session, owner: User) -> None:
    """Raise `StorageLimitReached` if the user has no storage left for something new."""
    tier = owner.subscription_tier
    limit = PLANS[tier].limits.storage_mb
    parameters = {"user": owner.id, "good_for": GOOD_FOR[tier]}
    size, is_old = _LAST.first(session, parameters) or (0, True)
    if is_old:
        session.execute(_WANT, parameters)
    # Measured again before raising, because the user may have deleted something since the last measurement.
    if size >= limit * MB and (now := measure(session, owner.id)) >= limit * MB:
        raise StorageLimitReached(tier, limit, now)


def bounds(tier: Tier) -> dict[str, int]:
    """The parameters of `HAS_ROOM`."""
    return {"max_bytes": PLANS[tier].limits.storage_mb * MB, "good_for": GOOD_FOR[tier]}


def used(session: Session, user_id: UUID) -> int:
    """Bytes stored by a user, as last measured; measured now if they never were."""
    last = _LAST.first(session, {"user": user_id, "good_for": 0})
    return last[0] if last else measure(session, user_id)


def measure(session: Session, user_id: UUID) -> int:
    """Measure and return the bytes that a user stores."""
    found: int = session.execute(_MEASURE, {"user": user_id}).scalar_one()
    return found


def freed(session: Session, users: Collection[UUID]) -> None:
    """Request a new measurement for those of these users who were measured before; data of theirs was removed."""
    session.execute(_FREED, {"users": list(users)})


def measure_wanted(session: Session, *, limit: int = 20) -> int:
    """Measure at most `limit` users for whom that was requested; returns how many."""
    users = session.scalars(_WANTED, {"limit": limit}).all()
    for user_id in users:
        measure(session, user_id)
    return len(users)
