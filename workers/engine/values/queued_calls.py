"""Calls in a provider's queue, and the key of the limit that they share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from models.rules.graph.effects import AgentTurn, Call, ModelCall
from models.rules.prices.pricing import Provider


class LimitKey(NamedTuple):
    """Names one concurrency limit: of one user's account at a provider, or of the gateway."""

    provider: Provider
    owner: UUID | None = None


@dataclass(eq=False)
class QueuedCall:
    """One call, queued or in progress. `start` starts it, `postpone` removes it for some seconds; neither blocks."""

    key: LimitKey
    user_id: UUID
    since: datetime
    start: Callable[["QueuedCall"], None]
    postpone: Callable[["QueuedCall", float], None]
    continues: bool = False  # it is in progress already, so that it need not wait
    started: float | None = None  # monotonic
    cancelled: bool = False  # it left the queue, or was postponed
    released: bool = False  # its slot was released


def limit_key(effect: Call, user_id: UUID) -> LimitKey | None:
    """The key of the limit that applies to a call; None for calls without one."""
    if isinstance(effect, ModelCall):
        return LimitKey(effect.provider, user_id)  # an account is used through its user's key
    return LimitKey(Provider.OPENCLAW) if isinstance(effect, AgentTurn) else None
