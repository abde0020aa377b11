"""The business in numbers: what each day came to, and where subscriptions stand now.

A day that is over is added up by the sweep, and once more when it has settled, because its runs may end later. The
present day is added up when somebody asks. Users and subscriptions are counted by the sweep once an hour.
docs/operations.md defines every number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.periods import Grain, spans
from models.rules.pricing import PLANS, Tier

WINDOW = 30  # days that rates look back
RECOUNTED = timedelta(hours=1)
SETTLED = timedelta(days=2)  # after which nearly every run of a day has ended

_DAY = text("""
    WITH runs AS (
        SELECT count(*) AS total, count(*) FILTER (WHERE status = 'success') AS successful,
               count(*) FILTER (WHERE status = 'failed') AS failed
          FROM counted_runs WHERE created_at >= :start AND created_at < :stop
    ), moves AS (
        SELECT coalesce(sum(amount) FILTER (WHERE type = 'debit' AND source IN ('execution', 'usage')), 0) AS used,
               coalesce(sum(amount) FILTER (WHERE type = 'credit' AND source = 'purchase'), 0) AS sold
          FROM credit_transactions WHERE created_at >= :start AND created_at < :stop
    )
    SELECT (SELECT count(*) FROM users WHERE created_at >= :start AND created_at < :stop) AS sign_ups,
           runs.total AS runs, runs.successful, runs.failed, moves.used AS credits_used, moves.sold AS credits_sold,
           (SELECT coalesce(sum(amount_cents), 0) FROM purchases
             WHERE paid_at >= :start AND paid_at < :stop) AS pack_cents,
           (SELECT coalesce(sum(amount_cents), 0) FROM invoices
             WHERE paid_at >= :start AND paid_at < :stop AND subscription_id IS NOT NULL) AS subscription_cents,
           (SELECT coalesce(sum(counted_cents), 0) FROM refunds WHERE created_at >= :start AND created_at < :stop)
           + (SELECT coalesce(sum(counted_cents), 0) FROM disputes WHERE created_at >= :start AND created_at < :stop)
               AS returned_cents
      FROM runs, moves
""")
_KEEP = text("""
    INSERT INTO daily_figures (day, figures, computed_at) VALUES (:day, CAST(:figures AS jsonb), clock_timestamp())
        ON CONFLICT (day) DO UPDATE SET figures = excluded.figures, computed_at = excluded.computed_at
""")
_KEPT = text("SELECT day, figures FROM daily_figures WHERE day >= :first")
_OPEN = text("""
    SELECT CAST(d AS date) AS day
      FROM generate_series((SELECT CAST(min(created_at) AS date) FROM users), CAST(now() AS date) - 1, '1 day') d
      LEFT JOIN daily_figures f ON f.day = d
     WHERE f.day IS NULL OR (f.computed_at < f.day + CAST(:settled AS interval) AND now() > f.day + :settled)
     ORDER BY d DESC LIMIT :limit
""")

_SUBSCRIBERS = text("""
    SELECT tier, count(DISTINCT user_id) AS users FROM subscriptions
     WHERE status IN ('active', 'past_due') GROUP BY tier
""")
_CHURN = text("""
    WITH paying AS (
        SELECT DISTINCT user_id FROM subscriptions
         WHERE status NOT IN ('incomplete', 'incomplete_expired', 'trialing')
           AND started_at <= now() - make_interval(days => :days)
           AND (ended_at IS NULL OR ended_at > now() - make_interval(days => :days))
    )
    SELECT count(*) AS before, count(*) FILTER (WHERE now_paying.user_id IS NULL) AS lost
      FROM paying
      LEFT JOIN (SELECT DISTINCT user_id FROM subscriptions WHERE status IN ('active', 'past_due')) now_paying
             ON now_paying.user_id = paying.user_id
""")
_USERS = text("""
    SELECT (SELECT count(*) FROM users) AS users,
           (SELECT count(*) FROM credits WHERE updated_at > now() - make_interval(days => :days)) AS active,
           count(*) AS new, count(ever_paying.user_id) AS converted
      FROM users u
      LEFT JOIN (SELECT DISTINCT user_id FROM subscriptions
                  WHERE status NOT IN ('incomplete', 'incomplete_expired', 'trialing')) ever_paying
             ON ever_paying.user_id = u.id
     WHERE u.created_at > now() - make_interval(days => :days)
""")

_COUNTED = text("SELECT figures, counted_at FROM business_standing WHERE one")
_IS_FRESH = text("SELECT EXISTS (SELECT FROM business_standing WHERE counted_at > now() - :age)")
_KEEP_COUNT = text("""
    INSERT INTO business_standing (figures, counted_at) VALUES (CAST(:figures AS jsonb), now())
        ON CONFLICT (one) DO UPDATE SET figures = excluded.figures, counted_at = excluded.counted_at
""")


@dataclass
class Figures:
    """What a span of days, from `start` on, came to; money in US cents."""

    start: date
    sign_ups: int = 0
    runs: int = 0
    successful: int = 0
    failed: int = 0
    credits_used: Decimal = Decimal(0)
    credits_sold: Decimal = Decimal(0)
    pack_cents: int = 0
    subscription_cents: int = 0
    returned_cents: int = 0

    @property
    def success_rate(self) -> float | None:
        """0 to 100, of the runs that succeeded or failed."""
        over = self.successful + self.failed
        return round(100 * self.successful / over, 1) if over else None

    def add(self, other: "Figures") -> None:
        """Let this span contain another one."""
        for name in NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))


NAMES = [one.name for one in fields(Figures) if one.name != "start"]


@dataclass(frozen=True)
class Standing:
    """Where users and subscriptions stand; rates are 0 to 100, or None where there is nothing to divide by."""

    users: int
    active_users: int
    new_users: int
    subscribers: dict[str, int]
    churn_rate: float | None
    conversion_rate: float | None

    @property
    def mrr_cents(self) -> int:
        """What a month brings in."""
        return sum(PLANS[Tier(tier)].price_cents * number for tier, number in self.subscribers.items())

    @property
    def arr_cents(self) -> int:
        """Twelve months like this one."""
        return 12 * self.mrr_cents


@dataclass(frozen=True)
class Stats:
    """Where the business stood when it was last counted, and what the last days came to."""

    standing: Standing
    counted_at: datetime
    last: Figures
    days: int = field(default=WINDOW)


def stats(session: Session) -> Stats:
    """Where the business stands, as it was last counted, and what the last 30 days came to."""
    counted = session.execute(_COUNTED).one_or_none()
    today = datetime.now(UTC).date()
    days = daily(session, today - timedelta(days=WINDOW - 1), today)
    last = Figures(days[0].start)
    for day in days:
        last.add(day)
    if counted is None:  # nobody swept yet
        return Stats(_count(session), datetime.now(UTC), last)
    return Stats(Standing(**counted.figures), counted.counted_at, last)


def recount(session: Session) -> bool:
    """Count all users and subscriptions, which takes reading all of them, unless that was done in the last hour."""
    if session.scalar(_IS_FRESH, {"age": RECOUNTED}):
        return False
    session.execute(_KEEP_COUNT, {"figures": orjson.dumps(_count(session)).decode()})
    return True


def daily(session: Session, first: date, last: date) -> Sequence[Figures]:
    """Every day from `first` to `last`, the oldest first; the present one as far as it went."""
    kept = {row.day: row.figures for row in session.execute(_KEPT, {"first": first})}
    today = datetime.now(UTC).date()
    found = []
    for back in range((last - first).days + 1):
        day = first + timedelta(days=back)
        # Yesterday may not have been added up yet; days before it were, or nobody was here.
        live = day not in kept and day >= today - timedelta(days=1)
        found.append(_read(day, kept[day]) if day in kept else (_add_up(session, day) if live else Figures(day)))
    return found


def series(session: Session, grain: Grain) -> Sequence[Figures]:
    """The bars of a chart, the oldest first; the last one is not full yet."""
    today = datetime.now(UTC).date()
    found = [Figures(start) for start in spans(grain, today)]
    for day in daily(session, found[0].start, today):
        next(bar for bar in reversed(found) if bar.start <= day.start).add(day)
    return found


def close_days(session: Session, *, limit: int = 5) -> int:
    """Add up days that are over and were not added up since they settled, the newest first; answers how many."""
    days = session.scalars(_OPEN, {"settled": SETTLED, "limit": limit}).all()
    for day in days:
        found = _add_up(session, day)
        session.execute(_KEEP, {"day": day, "figures": _written(found)})
    return len(days)


def _count(session: Session) -> Standing:
    subscribers = {row.tier: row.users for row in session.execute(_SUBSCRIBERS)}
    churn = session.execute(_CHURN, {"days": WINDOW}).one()
    users = session.execute(_USERS, {"days": WINDOW}).one()
    return Standing(
        users=users.users,
        active_users=users.active,
        new_users=users.new,
        subscribers=subscribers,
        churn_rate=_share(churn.lost, churn.before),
        conversion_rate=_share(users.converted, users.new),
    )


def _add_up(session: Session, day: date) -> Figures:
    row = session.execute(_DAY, {"start": day, "stop": day + timedelta(days=1)}).one()
    return Figures(day, **{name: getattr(row, name) for name in NAMES})


def _written(found: Figures) -> str:
    return orjson.dumps({name: getattr(found, name) for name in NAMES}, default=str).decode()


def _read(day: date, kept: dict[str, Any]) -> Figures:
    exact: dict[str, Any] = {name: Decimal(kept[name]) for name in ("credits_used", "credits_sold")}
    return Figures(day, **{name: int(kept[name]) for name in NAMES if name not in exact} | exact)


def _share(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None
