"""How users and subscriptions grew: their numbers at the end of each period of a chart, from our mirror of Stripe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from itertools import pairwise

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import DateTime

from models.raw_statement import assembled
from models.rules.prices.pricing import PLANS, Tier
from models.tables import User

_EDGES = bindparam("edges", type_=ARRAY(DateTime(timezone=True)))
_PAYING = """
    WITH paying AS (
        SELECT DISTINCT e.number, s.user_id, s.tier
          FROM unnest(:edges) WITH ORDINALITY AS e(edge, number)
          JOIN subscriptions s ON s.started_at < e.edge AND (s.ended_at IS NULL OR s.ended_at >= e.edge)
         WHERE s.status NOT IN ('incomplete', 'incomplete_expired', 'trialing', 'unpaid', 'paused')
    )
"""
_BY_TIER = assembled(
    "PAYING SELECT number, tier, count(*) AS users FROM paying GROUP BY number, tier", PAYING=_PAYING
).bindparams(_EDGES)
_LOST = assembled(
    """PAYING
    SELECT p.number + 1 AS number, count(DISTINCT p.user_id) AS users
      FROM paying p LEFT JOIN paying later ON later.number = p.number + 1 AND later.user_id = p.user_id
     WHERE later.user_id IS NULL GROUP BY 1
""",
    PAYING=_PAYING,
).bindparams(_EDGES)


@dataclass
class Growth:
    """Numbers at the end of a period, and the subscribers lost in it; money in US cents."""

    users: int = 0
    subscribers: dict[str, int] = field(default_factory=dict)
    lost_subscribers: int = 0
    churn_rate: float | None = None  # 0 to 100; None if there were no subscribers at its start

    @property
    def mrr_cents(self) -> int:
        """Monthly recurring revenue in US cents."""
        return sum(PLANS[Tier(tier)].price_cents * number for tier, number in self.subscribers.items())


def growth(session: Session, starts: Sequence[date], sign_ups: Sequence[int]) -> list[Growth]:
    """The growth in the periods that begin on the days `starts`, with their numbers of `sign_ups`; the last is open."""
    now = datetime.now(UTC)
    edges = [*(datetime.combine(start, time.min, UTC) for start in starts), now]
    found = [Growth() for _ in edges]  # the first one is the state at the start of the first period
    found[0].users = session.scalars(select(func.count()).where(User.created_at < now)).one() - sum(sign_ups)
    for row in session.execute(_BY_TIER, {"edges": edges}):
        found[row.number - 1].subscribers[row.tier] = row.users
    lost: Mapping[int, int] = {row.number: row.users for row in session.execute(_LOST, {"edges": edges})}
    for number, (before, period) in enumerate(pairwise(found), 1):
        period.users = before.users + sign_ups[number - 1]
        period.lost_subscribers = lost.get(number + 1, 0)
        paying = sum(before.subscribers.values())
        period.churn_rate = round(100 * period.lost_subscribers / paying, 1) if paying else None
    return found[1:]
