"""No query about money reads a table from end to end: with scans forbidden, each finds an index to go by."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.values.periods import Grain
from models.services.executions import dead_letters
from models.services.notifications import notifications
from models.services.operations import alerts, analytics
from models.services.stripe import (
    customers,
    invoices,
    payment_methods,
    purchases,
    refunds,
    stripe_events,
    stripe_requests,
    stripe_status,
    subscriptions,
)
from models.tables import Purchase
from tests.models.test_query_plans import explain
from tests.support import factories
from tests.support.database.statements import recorded_statements
from tests.support.factories import billing
from tests.support.factories.billing import NOW, TIERS

QUERIES: dict[str, Callable[[Session, Purchase, Any], Any]] = {
    "a purchase": lambda s, p, u: purchases.start(s, u, package_id="pack_100", payment_method_id="pm_1"),
    "the list of purchases": lambda s, p, u: purchases.list_owned(s, u),
    "one purchase": lambda s, p, u: purchases.get(s, u, p.id),
    "a payment": lambda s, p, u: purchases.sync_intent(s, billing.intent(s, p)),
    "a refund": lambda s, p, u: refunds.sync_refund(s, billing.refund(p)),
    "a dispute": lambda s, p, u: refunds.sync_dispute(s, billing.dispute(p)),
    "a wish to subscribe": lambda s, p, u: subscriptions.start(
        s, u, price_id="price_premium_monthly", payment_method_id=None, tiers=TIERS
    ),
    "the current subscription": lambda s, p, u: subscriptions.current(s, u),
    "a subscription": lambda s, p, u: subscriptions.sync_subscription(
        s, billing.subscription(s, u), now=NOW, tiers=TIERS
    ),
    "the end of a grace": lambda s, p, u: subscriptions.end_grace(s, NOW),
    "an invoice": lambda s, p, u: invoices.sync_invoice(s, billing.invoice(s, u)),
    "the list of invoices": lambda s, p, u: invoices.list_owned(s, u),
    "a payment method": lambda s, p, u: payment_methods.sync(s, billing.payment_method(u.stripe_customer_id)),
    "the list of payment methods": lambda s, p, u: payment_methods.list_owned(s, u),
    "the default payment method": lambda s, p, u: payment_methods.sync_default(s, u.id, "pm_1"),
    "a customer": lambda s, p, u: customers.sync_customer(s, {"id": u.stripe_customer_id, "deleted": True}),
    "an event": lambda s, p, u: stripe_events.begin(s, billing.event(s)),
    "the end of an event": lambda s, p, u: stripe_events.done(s, billing.event(s)),
    "the sweep of events": lambda s, p, u: stripe_events.due(s),
    "the backlog of events": lambda s, p, u: stripe_events.backlog(s),
    "the dead letters": lambda s, p, u: dead_letters.dead_letters(s),
    "the sweep of wishes": lambda s, p, u: stripe_requests.due(s),
    "a message": lambda s, p, u: notifications.low_balance(s, u.id),
    "the sweep of messages": lambda s, p, u: notifications.due(s),
    "a chart of the business": lambda s, p, u: [analytics.series(s, grain) for grain in Grain],
    "where the business stands": lambda s, p, u: analytics.stats(s),
    "a day that is over": lambda s, p, u: analytics.close_days(s),
    "how stripe is": lambda s, p, u: stripe_status.stripe_status(s),
    "the open alerts": lambda s, p, u: (alerts.list_open(s), alerts.count_open(s)),
}


@pytest.mark.parametrize("name", QUERIES)
def test_reads_no_table_from_end_to_end_for(session: Session, name: str) -> None:
    user = billing.customer(session)
    row = billing.purchase(session, user)
    if name in ("a refund", "a dispute"):
        purchases.sync_intent(session, billing.intent(session, row))
    analytics.recount(session)
    session.execute(text("SET LOCAL enable_seqscan = off"))
    session.expire_all()
    with recorded_statements() as statements:
        QUERIES[name](session, row, session.get_one(factories.User, user.id))
    plans = [explain(session, *statement) for statement in statements if "SAVEPOINT" not in statement[0]]
    assert plans
    for plan in plans:
        assert "Seq Scan" not in plan, plan
