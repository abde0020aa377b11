"""Metrics of the business, from the same totals as the analytics of administrators.

All are gauges with one value for the whole deployment: every instance of the API reports the same, so take the maximum
and not the sum.
"""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.orm import Session

from models.services.operations import analytics
from models.services.operations.analytics import BusinessStats


def business(session: Session) -> Iterator[Metric]:
    """Return users, recurring revenue and rates as counted within the last hour, and totals of the last 30 days."""
    found = analytics.stats(session)
    yield from _users(found)
    yield GaugeMetricFamily("agentforge_mrr_cents", "Monthly recurring revenue.", value=found.totals.mrr_cents)
    yield GaugeMetricFamily("agentforge_arr_cents", "Annual recurring revenue.", value=found.totals.arr_cents)
    rates = {"churn": found.totals.churn_rate, "conversion": found.totals.conversion_rate}
    rate = GaugeMetricFamily("agentforge_business_rate_percent", "Rates of the last 30 days.", labels=("rate",))
    for name, value in rates.items():
        if value is not None:
            rate.add_metric((name,), value)
    yield rate
    yield _last_month(found)


def _users(found: BusinessStats) -> Iterator[Metric]:
    users = GaugeMetricFamily("agentforge_users", "Users, and those active or new in 30 days.", labels=("state",))
    for state, number in (
        ("all", found.totals.users),
        ("active", found.totals.active_users),
        ("new", found.totals.new_users),
    ):
        users.add_metric((state,), number)
    yield users
    paying = GaugeMetricFamily("agentforge_subscribers", "Users with a paid subscription.", labels=("tier",))
    for tier, number in found.totals.subscribers.items():
        paying.add_metric((tier,), number)
    yield paying


def _last_month(found: BusinessStats) -> Metric:
    """The totals of the last 30 days by name; money in US cents."""
    totals = GaugeMetricFamily("agentforge_business_30_days", "Totals of the last 30 days.", labels=("total",))
    for name in analytics.NAMES:
        totals.add_metric((name,), float(getattr(found.last, name)))
    return totals
