"""What users store: versions of workflows, templates, inputs and outputs of runs, by their size on disk.

It is measured from the rows themselves, so that it never drifts. That reads all of a user's rows, so it is done by the
sweep, at most once in a while, for users who store something; in between the last measurement counts.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import Uuid

from models.errors import Forbidden
from models.plain import Plain
from models.rules.pricing import PLANS, Tier
from models.user import User

MB = 1_000_000
# Seconds for which a measurement counts: the smaller a limit, the sooner it is passed.
GOOD_FOR = {Tier.FREE: 60, Tier.PREMIUM: 600, Tier.ENTERPRISE: 3600}

_LAST = Plain("""
    SELECT bytes, wanted_at IS NULL AND measured_at < now() - make_interval(secs => :good_for) AS is_old
      FROM storage_used WHERE user_id = :user
""")
_WANT = text("""
    INSERT INTO storage_used AS s (user_id, wanted_at) VALUES (:user, now())
        ON CONFLICT (user_id) DO UPDATE SET wanted_at = coalesce(s.wanted_at, now())
""")

# Sizes as stored: nothing large is read for them.
_MEASURE = text("""
    INSERT INTO storage_used (user_id, bytes)
    SELECT :user,
           (SELECT coalesce(sum(pg_column_size(v.graph)), 0)
              FROM workflows w JOIN workflow_versions v ON v.workflow_id = w.id
             WHERE w.user_id = :user AND w.deleted_at IS NULL)
           + (SELECT coalesce(sum(pg_column_size(graph)), 0) FROM templates WHERE owner_id = :user)
           + (SELECT coalesce(sum(coalesce(pg_column_size(input), 0) + coalesce(pg_column_size(output), 0)), 0)
                FROM workflow_executions WHERE user_id = :user)
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
    """The tier keeps no more than this."""

    code = "storage_limit_reached"

    def __init__(self, tier: Tier, limit: int, used: int) -> None:
        super().__init__(
            f"The {tier} tier keeps {limit:,} MB, and you store {used / MB:,.1f} MB in workflows, templates and runs:"
            " delete workflows or templates, wait until old runs are removed, or choose a higher tier."
        )


def require_room(session: Session, owner: User) -> None:
    """Raises `StorageLimitReached` for a user who is to store something more and has no room left."""
    tier = owner.subscription_tier
    limit = PLANS[tier].limits.storage_mb
    asked = {"user": owner.id, "good_for": GOOD_FOR[tier]}
    size, is_old = _LAST.first(session, asked) or (0, True)
    if is_old:
        session.execute(_WANT, asked)
    # Before anybody is sent away, what they deleted meanwhile counts.
    if size >= limit * MB and (now := measure(session, owner.id)) >= limit * MB:
        raise StorageLimitReached(tier, limit, now)


def used(session: Session, user_id: UUID) -> int:
    """Bytes, as last measured; measured now if never."""
    last = _LAST.first(session, {"user": user_id, "good_for": 0})
    return last[0] if last else measure(session, user_id)


def measure(session: Session, user_id: UUID) -> int:
    """Look how many bytes a user stores."""
    found: int = session.execute(_MEASURE, {"user": user_id}).scalar_one()
    return found


def freed(session: Session, users: Collection[UUID]) -> None:
    """Something of these users was removed: whoever stored anything is measured again."""
    session.execute(_FREED, {"users": list(users)})


def measure_wanted(session: Session, *, limit: int = 20) -> int:
    """Look for those who stored something since their last measurement became old; answers how many."""
    users = session.scalars(_WANTED, {"limit": limit}).all()
    for user_id in users:
        measure(session, user_id)
    return len(users)
