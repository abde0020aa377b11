"""One at a time for each user: who counts what a user has and then adds to it must not be overtaken meanwhile."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.rules.pricing import Tier
from models.user import User


def lock_user(session: Session, user_id: UUID) -> Tier:
    """Let others who lock this user wait until the transaction ends; answers the tier as it is now.

    Rows that only refer to the user, such as new runs, go on.
    """
    query = select(User.subscription_tier).where(User.id == user_id).with_for_update(key_share=True)
    return session.execute(query).scalar_one()
