"""What of a tier's monthly calls and storage a user has used, to be shown."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from models.rules.pricing import PLANS
from models.services import api_calls, storage
from models.user import User


@dataclass(frozen=True)
class Allowances:
    """Used and allowed; -1 is unlimited, storage is in MB of a million bytes."""

    api_calls_used: int
    api_calls_limit: int
    api_calls_reset_at: datetime
    storage_used_mb: float
    storage_limit_mb: int


def allowances(session: Session, user: User) -> Allowances:
    """How far this user's tier still reaches."""
    calls = api_calls.used(session, user.id, user.subscription_tier)
    return Allowances(
        api_calls_used=calls.used,
        api_calls_limit=calls.limit,
        api_calls_reset_at=calls.resets_at,
        storage_used_mb=round(storage.used(session, user.id) / storage.MB, 2),
        storage_limit_mb=PLANS[user.subscription_tier].limits.storage_mb,
    )
