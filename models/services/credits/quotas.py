"""The quotas of a user: usage and limits of monthly API calls and of storage."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from models.rules.prices.pricing import PLANS
from models.services.credits import api_calls, storage
from models.tables import User


@dataclass(frozen=True)
class Quotas:
    """Usage and limits; a limit of -1 is unlimited, storage is in MB of a million bytes."""

    api_calls_used: int
    api_calls_limit: int
    api_calls_reset_at: datetime
    storage_used_mb: float
    storage_limit_mb: int


def quotas(session: Session, user: User) -> Quotas:
    """Usage and limits of this user's tier."""
    calls = api_calls.used(session, user.id, user.subscription_tier)
    return Quotas(
        api_calls_used=calls.used,
        api_calls_limit=calls.limit,
        api_calls_reset_at=calls.resets_at,
        storage_used_mb=round(storage.used(session, user.id) / storage.MB, 2),
        storage_limit_mb=PLANS[user.subscription_tier].limits.storage_mb,
    )
