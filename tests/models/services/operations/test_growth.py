"""The growth of users and subscriptions, at the end of each period."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from models.rules.prices.pricing import PLANS, Tier
from models.services.operations.growth import Growth, growth
from models.tables import Subscription, User
from tests.support import factories

TODAY = datetime.now(UTC).date()
STARTS = [TODAY - timedelta(days=2), TODAY - timedelta(days=1), TODAY]
PREMIUM, ENTERPRISE = PLANS[Tier.PREMIUM].price_cents, PLANS[Tier.ENTERPRISE].price_cents


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def paid(session: Session, owner: User, tier: Tier, since: int, until: int | None = None, **columns: object) -> None:
    """A subscription from `since` to `until` days ago."""
    ended = None if until is None else noon(TODAY - timedelta(days=until))
    values = {"status": "canceled" if ended else "active", **columns}
    number = f"{owner.id}-{since}-{tier}"
    session.add(
        Subscription(
            user_id=owner.id,
            stripe_id=f"sub_{number}"[:60],
            customer_id=f"cus_{owner.id}",
            item_id=f"si_{number}",
            price_id=f"price_{tier}_monthly",
            tier=tier,
            started_at=noon(TODAY - timedelta(days=since)),
            ended_at=ended,
            **values,
        )
    )
    session.flush()


def test_counts_who_pays_at_the_end_of_each_period_and_who_was_lost(session: Session) -> None:
    people = [factories.user(session) for _ in range(4)]
    session.execute(update(User).values(created_at=noon(TODAY - timedelta(days=9))))
    paid(session, people[0], Tier.PREMIUM, since=9)
    paid(session, people[1], Tier.PREMIUM, since=9, until=2)  # lost in the first period
    paid(session, people[2], Tier.PREMIUM, since=9, until=1)
    paid(session, people[2], Tier.ENTERPRISE, since=1)  # went up in the second one, and was not lost
    paid(session, people[3], Tier.PREMIUM, since=9, status="incomplete")  # never paid
    first, second, last = growth(session, STARTS, [0, 0, 0])
    assert (first.subscribers, first.lost_subscribers, first.churn_rate) == ({"premium": 2}, 1, 33.3)
    assert second.subscribers == last.subscribers == {"premium": 1, "enterprise": 1}
    assert (second.lost_subscribers, second.churn_rate) == (0, 0.0)
    assert (first.mrr_cents, last.mrr_cents) == (2 * PREMIUM, PREMIUM + ENTERPRISE)


def test_users_add_up_to_those_of_now(session: Session) -> None:
    for _ in range(5):
        factories.user(session)
    assert [period.users for period in growth(session, STARTS, [1, 0, 3])] == [2, 2, 5]


def test_without_subscribers_there_is_no_rate(session: Session) -> None:
    assert growth(session, STARTS, [0, 0, 0]) == [Growth(), Growth(), Growth()]
