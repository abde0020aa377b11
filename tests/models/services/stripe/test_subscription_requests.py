"""Requests to subscribe, to change the plan, to end and to go on: what they carry, and when they are refused."""

import pytest
from sqlalchemy.orm import Session

from models.errors import Conflict, InvalidInput, NotFound
from models.services.stripe import stripe_requests, subscriptions
from models.services.stripe.subscriptions import ChangeUnderWay
from models.tables import RequestKind
from tests.models.services.stripe.test_subscriptions import sync
from tests.support.factories import billing
from tests.support.factories.billing import TIERS

PREMIUM, ENTERPRISE = TIERS


class TestRequests:
    def test_to_subscribe_name_the_price_and_carry_our_ids(self, session: Session) -> None:
        user = billing.customer(session)
        request = subscriptions.start(session, user, price_id=PREMIUM, payment_method_id="pm_new", tiers=TIERS)
        assert request.kind is RequestKind.SUBSCRIPTION_CREATE
        assert request.key == f"sub-{request.id}-a1"
        assert request.params == {
            "price": PREMIUM,
            "payment_method": "pm_new",
            "upgrade_from": [],
            "metadata": {"agentforge_user": str(user.id), "agentforge_request": str(request.id)},
        }

    def test_to_subscribe_to_what_is_no_plan_are_refused(self, session: Session) -> None:
        with pytest.raises(InvalidInput):
            subscriptions.start(
                session, billing.customer(session), price_id="price_x", payment_method_id=None, tiers=TIERS
            )

    @pytest.mark.parametrize("status", ["active", "trialing", "past_due", "unpaid", "paused", "canceled"])
    def test_to_subscribe_are_accepted_whatever_there_is(self, session: Session, status: str) -> None:
        user = billing.customer(session)
        sync(session, billing.subscription(session, user, status, price="price_of_last_year"))
        request = subscriptions.start(session, user, price_id=ENTERPRISE, payment_method_id=None, tiers=TIERS)
        assert request.params["upgrade_from"] == ["price_of_last_year", PREMIUM]

    def test_to_subscribe_twice_are_one_request_until_it_failed(self, session: Session) -> None:
        user = billing.customer(session)
        first = subscriptions.start(session, user, price_id=PREMIUM, payment_method_id=None, tiers=TIERS)
        assert subscriptions.start(session, user, price_id=PREMIUM, payment_method_id="pm_b", tiers=TIERS) is first
        with pytest.raises(ChangeUnderWay):
            subscriptions.start(session, user, price_id=ENTERPRISE, payment_method_id=None, tiers=TIERS)
        stripe_requests.fail(session, first.id, code="card_declined", message="No.")
        assert subscriptions.start(session, user, price_id=PREMIUM, payment_method_id=None, tiers=TIERS) is not first

    @pytest.mark.parametrize(("price", "upgrade"), [(ENTERPRISE, True), (PREMIUM, False)])
    def test_to_change_say_whether_it_is_more(self, session: Session, price: str, upgrade: bool) -> None:
        user = billing.customer(session)
        other = PREMIUM if price == ENTERPRISE else ENTERPRISE
        sync(session, subscription := billing.subscription(session, user, price=other))
        request = subscriptions.start_update(session, user, price_id=price, tiers=TIERS)
        assert request.params == {"subscription": subscription["id"], "price": price, "upgrade": upgrade}
        with pytest.raises(Conflict):
            subscriptions.start_update(session, user, price_id=other, tiers=TIERS)

    def test_to_end_and_to_go_on(self, session: Session) -> None:
        user = billing.customer(session)
        for requested in (subscriptions.start_cancel, subscriptions.start_resume):
            with pytest.raises(NotFound):
                requested(session, user)
        sync(session, subscription := billing.subscription(session, user))
        assert subscriptions.start_cancel(session, user).params == {"subscription": subscription["id"], "cancel": True}
        with pytest.raises(Conflict):
            subscriptions.start_resume(session, user)
        sync(session, subscription | {"cancel_at_period_end": True})
        assert subscriptions.start_resume(session, user).params["paused"] is False
        sync(session, subscription | {"status": "paused"})
        assert subscriptions.start_resume(session, user).params["paused"] is True
