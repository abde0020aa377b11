"""Checks that users have the tier that their subscriptions, or an operator, grant."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.orm import Session

from models.rules.prices.pricing import Tier
from models.rules.stripe import billing
from models.services.rows.queries import lock_user
from models.services.stripe import granted_tiers
from models.tables import User

# `:tiers` is in ascending order; users without a grant have the first one.
_DIFFERENT = text("""
    WITH granted AS (
        SELECT user_id, max(array_position(CAST(:tiers AS text[]), grants::text)) AS best
          FROM subscriptions GROUP BY user_id
    )
    SELECT id, tier, granted
      FROM (SELECT u.id, u.subscription_tier AS tier, (CAST(:tiers AS text[]))[
                       greatest(g.best, array_position(CAST(:tiers AS text[]), u.granted_tier::text), 1)] AS granted
              FROM users u LEFT JOIN granted g ON g.user_id = u.id) AS found
     WHERE tier <> granted ORDER BY id LIMIT :limit
""")


@dataclass(frozen=True)
class WrongTier:
    """A user whose tier is not the best that a subscription of theirs grants."""

    user_id: UUID
    tier: Tier
    granted: Tier

    @property
    def is_unpaid(self) -> bool:
        """Whether the user's tier is higher than the granted one."""
        return billing.highest(self.tier, self.granted) is self.tier


def raise_to_granted(session: Session, wrong: WrongTier) -> bool:
    """Set a user's tier to the granted one; returns False if the grants or the tier changed meanwhile."""
    lock_user(session, wrong.user_id)
    if billing.highest(*granted_tiers.granted(session, wrong.user_id)) is not wrong.granted:
        return False
    unchanged = update(User).where(User.id == wrong.user_id, User.subscription_tier == wrong.tier)
    raised = unchanged.values(subscription_tier=wrong.granted).returning(User.id)
    return session.scalar(raised.execution_options(synchronize_session=False)) is not None


def list_wrong(session: Session, *, limit: int = 1000) -> list[WrongTier]:
    """At most `limit` users whose tier is not the one that their subscriptions grant."""
    rows = session.execute(_DIFFERENT, {"tiers": [tier.value for tier in Tier], "limit": limit})
    return [WrongTier(row.id, Tier(row.tier), Tier(row.granted)) for row in rows]
