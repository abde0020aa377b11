"""Days, months and charts begin at midnight in UTC, wherever the database believes to be."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.prices.pricing import Tier
from models.rules.values.periods import Period
from models.services.credits import api_calls
from models.services.operations import analytics
from models.services.workflows import usage
from tests.support import factories

ZONES = ("UTC", "Pacific/Auckland", "America/Los_Angeles")


def be_in(session: Session, zone: str) -> None:
    session.execute(text("SELECT set_config('TimeZone', :zone, true)"), {"zone": zone})


@pytest.mark.parametrize("zone", ZONES)
def test_a_months_calls_end_with_the_month_in_utc(session: Session, zone: str) -> None:
    user, now = factories.user(session), datetime.now(UTC)
    be_in(session, zone)
    next_month = (now.replace(day=28) + timedelta(days=4)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert api_calls.used(session, user.id, Tier.FREE).resets_at == next_month


@pytest.mark.parametrize("zone", ZONES)
def test_the_bars_of_a_chart_are_days_in_utc(session: Session, zone: str) -> None:
    user = factories.user(session)
    yesterday = datetime.now(UTC).replace(hour=0, minute=30) - timedelta(days=1)
    for moment in (yesterday, yesterday + timedelta(hours=23)):
        run = factories.execution(session, factories.workflow(session, user))
        run.created_at = moment
    session.flush()
    be_in(session, zone)
    found = usage.stats(session, user, Period.WEEK)
    assert [bar.executions for bar in found.series[-3:]] == [0, 2, 0]


def test_the_days_that_are_over_are_those_of_utc(session: Session) -> None:
    factories.user(session).created_at = datetime.now(UTC).replace(hour=0, minute=30) - timedelta(days=4)
    session.flush()
    found = []
    for zone in ZONES:
        be_in(session, zone)
        found.append(session.scalars(analytics._OPEN, {"settled": analytics.SETTLED, "limit": 10}).all())
    assert found[0][0] == datetime.now(UTC).date() - timedelta(days=1)
    assert found == [found[0]] * len(ZONES)
