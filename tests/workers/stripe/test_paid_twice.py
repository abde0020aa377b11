"""A purchase paid by two payments: granted once, reported, and closed once the second payment is refunded."""

from typing import Any

import pytest

from models.db import session_scope
from models.services.operations import alerts, audit
from models.tables import Action, BillingAlert, Purchase, RunKind, User
from tests.support.stripe.books import Books
from tests.support.stripe.shop import CARD, Shop

NEWS = ("refund.created", "refund.updated", "refund.failed", "charge.refunded")


def paid_twice(shop: Shop) -> tuple[User, Purchase, dict[str, Any]]:
    """A lost request was repeated under a new key, and both were made."""
    user = shop.user()
    purchase = shop.buys(user, card=CARD)
    [first] = shop.intents()
    second = shop.stripe_sync.gateway.create_payment(
        customer=first["customer"],
        amount=first["amount"],
        currency="usd",
        payment_method=CARD,
        description="again",
        metadata=first["metadata"],
        key="again",
    )
    shop.handle_all("payment_intent.succeeded")
    return user, purchase, second


def the_alert(shop: Shop) -> BillingAlert:
    return shop.see(BillingAlert, shop.scalar("SELECT id FROM billing_alerts WHERE kind = 'paid_twice'"))


def deeds(user: User) -> list[str]:
    with session_scope() as session:
        return [one.action for one in reversed(audit.entries(session, subject=user.id)) if one.actor_id is None]


def test_the_refund_of_the_second_takes_no_credits_and_closes_its_alert(shop: Shop):
    user, purchase, second = paid_twice(shop)
    assert (the_alert(shop).resolved_at, the_alert(shop).subject) == (None, second["id"])
    shop.stripe.refund(second["id"])
    assert set(shop.handle_all(*NEWS)) <= {"done", "ignored"}
    assert the_alert(shop).resolved_at is not None
    assert the_alert(shop).data == {"paidCents": 999, "refundedCents": 999, "closedBy": "refund"}
    assert deeds(user) == ["alert.resolved"]
    assert (shop.credits(user), shop.fresh(purchase).credits_taken) == (100, 0)
    shop.stripe.refund(purchase.payment_intent_id)
    shop.handle_all("refund.created")
    assert shop.credits(user) == 0


def test_partial_refunds_leave_it_open_until_they_cover_all_of_it(shop: Shop):
    user, _, second = paid_twice(shop)
    shop.stripe.refund(second["id"], amount=500)
    shop.handle_all(*NEWS)
    assert (the_alert(shop).resolved_at, the_alert(shop).data) == (None, {"paidCents": 999, "refundedCents": 500})
    shop.stripe.refund(second["id"])
    shop.handle_all(*NEWS)
    assert the_alert(shop).resolved_at is not None
    assert deeds(user) == ["alert.resolved"]


def test_a_refund_that_fails_after_all_opens_it_again(shop: Shop):
    user, _, second = paid_twice(shop)
    refund = shop.stripe.refund(second["id"])
    shop.handle_all(*NEWS)
    shop.stripe.change(refund["id"], status="failed")
    shop.handle(shop.stripe.emit_event("refund.failed", refund["id"]))
    assert (the_alert(shop).resolved_at, the_alert(shop).data) == (None, {"paidCents": 999, "refundedCents": 0})
    assert deeds(user) == ["alert.resolved", "alert.reopened"]


def test_one_that_a_person_closed_stays_closed(shop: Shop):
    user, _, second = paid_twice(shop)
    with session_scope() as session:
        closed, _ = alerts.resolve(session, the_alert(shop).id)
    refund = shop.stripe.refund(second["id"])
    shop.handle_all(*NEWS)
    shop.stripe.change(refund["id"], status="failed")
    shop.handle(shop.stripe.emit_event("refund.failed", refund["id"]))
    assert the_alert(shop).resolved_at == closed.resolved_at
    assert deeds(user) == []


@pytest.mark.parametrize("kind", [RunKind.PURCHASES, RunKind.OBJECTS])
def test_reconciliation_closes_it_after_a_refund_without_an_event(shop: Shop, kind: RunKind):
    books = Books(shop)
    user, _, second = paid_twice(shop)
    shop.stripe.refund(second["id"])
    shop.stripe.change(second["id"], created=1_600_000_000)  # too long ago to be listed
    [found] = books.found(books.run(kind))
    assert (found.subject, found.action, found.changes["open_alerts"]) == (second["id"], Action.REPAIRED, [1, None])
    assert deeds(user) == ["alert.resolved"]
    assert books.found(books.run(kind)) == []
