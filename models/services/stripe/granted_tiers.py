"""The tier of a user: the highest that one of their subscriptions, or an operator, grants now."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.rules.prices.pricing import Tier
from models.rules.stripe import billing
from models.services.rows.queries import lock_user
from models.tables import Subscription, User


def granted(session: Session, user_id: UUID) -> Sequence[Tier]:
    """The tiers that subscriptions and an operator grant to a user."""
    by_subscriptions = session.scalars(select(Subscription.grants).where(Subscription.user_id == user_id)).all()
    by_operator = session.scalar(select(User.granted_tier).where(User.id == user_id))
    return [*by_subscriptions, *([by_operator] if by_operator else [])]


def update_tier(session: Session, user_id: UUID) -> Tier:
    """Set a user's tier to the highest one that is granted, and return it."""
    tier = billing.highest(*granted(session, user_id))
    changed = update(User).where(User.id == user_id, User.subscription_tier != tier).values(subscription_tier=tier)
    session.execute(changed.execution_options(synchronize_session="fetch"))
    return tier


def grant_tier(session: Session, user_id: UUID, tier: Tier | None) -> Tier:
    """Grant a tier whatever the user pays, or end that with None; returns the user's tier from now on."""
    lock_user(session, user_id)
    session.execute(update(User).where(User.id == user_id).values(granted_tier=tier))
    return update_tier(session, user_id)
