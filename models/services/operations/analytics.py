"""Business analytics: the totals of each day, and the current totals of users and subscriptions.

A periodic task computes the totals of a past day, and again after `SETTLED`, because its runs may end later. Those of
the current day are computed on request. Users and subscriptions are counted once an hour. docs/operations.md defines
every number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.prices.pricing import PLANS, Tier
from models.rules.values.periods import Grain, spans
from models.serialization import to_json

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
             WHERE paid_at >= :start AND paid_at < :stop AND subscription_id IS NOT NULL
               AND currency = 'usd') AS subscription_cents,
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
    WITH utc AS (
        SELECT date_trunc('day', min(created_at) AT TIME ZONE 'UTC') AS first,
               date_trunc('day', now() AT TIME ZONE 'UTC') - interval '1 day' AS last
          FROM users
    )
    SELECT CAST(d AS date) AS day
      FROM utc, generate_series(utc.first, utc.last, '1 day') d
      LEFT JOIN daily_figures f ON f.day = CAST(d AS date)
     WHERE f.day IS NULL OR (f.computed_at AT TIME ZONE 'UTC' < d + CAST(:settled AS interval)
                             AND now() AT TIME ZONE 'UTC' > d + :settled)
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

_COUNTED = text("SELECT figures, counted_at FROM business_totals WHERE one")
_IS_FRESH = text("SELECT EXISTS (SELECT FROM business_totals WHERE counted_at > now() - :age)")
_KEEP_COUNT = text("""
    INSERT INTO business_totals (figures, counted_at) VALUES (CAST(:figures AS jsonb), now())
        ON CONFLICT (one) DO UPDATE SET figures = excluded.figures, counted_at = excluded.counted_at
""")


@dataclass
class BusinessFigures:
    """The totals of a period that begins on the day `start`; money in US cents."""

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
        """The share of successful runs among those that succeeded or failed, 0 to 100; None without any."""
        ended = self.successful + self.failed
        return round(100 * self.successful / ended, 1) if ended else None

    def add(self, other: "BusinessFigures") -> None:
        """Add the totals of another period to these."""
        for name in NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))


NAMES = [one.name for one in fields(BusinessFigures) if one.name != "start"]


@dataclass(frozen=True)
class SubscriptionTotals:
    """Totals of users and subscriptions; rates are 0 to 100, or None if there is nothing to divide by."""

    users: int
    active_users: int
    new_users: int
    subscribers: dict[str, int]
    churn_rate: float | None
    conversion_rate: float | None

    @property
    def mrr_cents(self) -> int:
        """Monthly recurring revenue in US cents."""
        return sum(PLANS[Tier(tier)].price_cents * number for tier, number in self.subscribers.items())

    @property
    def arr_cents(self) -> int:
        """Annual recurring revenue in US cents."""
        return 12 * self.mrr_cents


@dataclass(frozen=True)
class BusinessStats:
    """Totals of users and subscriptions at `counted_at`, and the totals of the last `days` days."""

    totals: SubscriptionTotals
    counted_at: datetime
    last: BusinessFigures
    days: int = field(default=WINDOW)


def stats(session: Session) -> BusinessStats:
    """The last counted totals of users and subscriptions, and the totals of the last 30 days."""
    counted = session.execute(_COUNTED).one_or_none()
    today = datetime.now(UTC).date()
    days = daily(session, today - timedelta(days=WINDOW - 1), today)
    last = BusinessFigures(days[0].start)
    for day in days:
        last.add(day)
    if counted is None:  # the periodic task has not run yet
        return BusinessStats(_count(session), datetime.now(UTC), last)
    return BusinessStats(SubscriptionTotals(**counted.figures), counted.counted_at, last)


def recount(session: Session) -> bool:
    """Count all users and subscriptions, unless that was done in the last hour; returns whether it counted."""
    if session.scalar(_IS_FRESH, {"age": RECOUNTED}):
        return False
    session.execute(_KEEP_COUNT, {"figures": to_json(_count(session))})
    return True


def daily(session: Session, first: date, last: date) -> Sequence[BusinessFigures]:
    """The totals of every day from `first` to `last`, oldest first; those of the current day so far."""
    kept = {row.day: row.figures for row in session.execute(_KEPT, {"first": first})}
    today = datetime.now(UTC).date()
    found = []
    for back in range((last - first).days + 1):
        day = first + timedelta(days=back)
        # Yesterday's totals may not be stored yet; earlier days without stored totals have no rows.
        live = day not in kept and day >= today - timedelta(days=1)
        found.append(
            _read(day, kept[day]) if day in kept else (_add_up(session, day) if live else BusinessFigures(day))
        )
    return found


def series(session: Session, grain: Grain) -> Sequence[BusinessFigures]:
    """The totals of each period of a chart, oldest first; the last period has not ended."""
    today = datetime.now(UTC).date()
    found = [BusinessFigures(start) for start in spans(grain, today)]
    for day in daily(session, found[0].start, today):
        next(period for period in reversed(found) if period.start <= day.start).add(day)
    return found


def close_days(session: Session, *, limit: int = 5) -> int:
    """Store the totals of at most `limit` past days without final totals, newest first; returns how many."""
    days = session.scalars(_OPEN, {"settled": SETTLED, "limit": limit}).all()
    for day in days:
        found = _add_up(session, day)
        session.execute(_KEEP, {"day": day, "figures": _written(found)})
    return len(days)


def _count(session: Session) -> SubscriptionTotals:
    subscribers = {row.tier: row.users for row in session.execute(_SUBSCRIBERS)}
    churn = session.execute(_CHURN, {"days": WINDOW}).one()
    users = session.execute(_USERS, {"days": WINDOW}).one()
    return SubscriptionTotals(
        users=users.users,
        active_users=users.active,
        new_users=users.new,
        subscribers=subscribers,
        churn_rate=_share(churn.lost, churn.before),
        conversion_rate=_share(users.converted, users.new),
    )


def _add_up(session: Session, day: date) -> BusinessFigures:
    start = datetime.combine(day, time.min, UTC)
    row = session.execute(_DAY, {"start": start, "stop": start + timedelta(days=1)}).one()
    return BusinessFigures(day, **{name: getattr(row, name) for name in NAMES})


def _written(found: BusinessFigures) -> str:
    return orjson.dumps({name: getattr(found, name) for name in NAMES}, default=str).decode()


def _read(day: date, kept: dict[str, Any]) -> BusinessFigures:
    exact: dict[str, Any] = {name: Decimal(kept[name]) for name in ("credits_used", "credits_sold")}
    return BusinessFigures(day, **{name: int(kept[name]) for name in NAMES if name not in exact} | exact)


def _share(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None
