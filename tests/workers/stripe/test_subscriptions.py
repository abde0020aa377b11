from datetime import UTC, datetime

import pytest

from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.stripe import payment_methods, subscriptions
from models.tables import RequestStatus, User
from tests.support.stripe.shop import CARD, TIERS, Shop, stripe_sync

PREMIUM, ENTERPRISE = "price_premium_monthly", "price_enterprise_monthly"


@pytest.fixture
def subscriber(shop: Shop) -> User:
    """A user with a paid premium plan."""
    user = shop.user()
    shop.perform(shop.wants_plan(user, card=CARD))
    shop.handle_all()
    return user


def tier(shop: Shop, user: User) -> Tier:
    return shop.fresh(user).subscription_tier


def changes(shop: Shop, user: User, start, **how):
    """Store a request about the user's subscription, and perform it."""
    with session_scope() as session:
        request = start(session, user, **how)
    return shop.perform(request)


class TestCreating:
    def test_without_a_card_the_app_gets_a_secret_and_pays_for_the_tier(self, shop: Shop):
        user = shop.user()
        request = shop.perform(shop.wants_plan(user))
        assert request.status is RequestStatus.DONE
        assert request.result["subscription"]["status"] == "incomplete"
        assert request.result["subscription"]["tier"] == "premium"
        assert tier(shop, user) is Tier.FREE
        shop.stripe.pay_intent(request.result["clientSecret"])
        shop.handle_all()
        assert tier(shop, user) is Tier.PREMIUM

    def test_the_card_is_kept_and_is_the_default(self, shop: Shop):
        user = shop.user()
        shop.perform(shop.wants_plan(user, card=CARD))
        with session_scope() as session:
            [card] = payment_methods.list_owned(session, user)
        assert (card.brand, card.last4, card.is_default) == ("visa", "4242", True)

    @pytest.mark.parametrize("kind", ["reset", "500"])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_fault_makes_no_second_subscription(self, shop: Shop, kind, when):
        user = shop.user()
        request = shop.wants_plan(user, card=CARD)
        shop.stripe.fail_next("POST", "/v1/subscriptions", kind, when=when)
        shop.perform(request)
        shop.later(request)
        answer = shop.perform(request).result
        assert (answer["subscription"]["status"], answer["clientSecret"]) == ("active", None)
        shop.handle_all()
        assert len(shop.stripe.objects("subscription")) == 1
        assert [one["status"] for one in shop.intents()] == ["succeeded"]
        assert tier(shop, user) is Tier.PREMIUM

    def test_an_unfinished_one_gives_way_to_the_next(self, shop: Shop):
        user = shop.user()
        shop.perform(shop.wants_plan(user))
        shop.perform(shop.wants_plan(user, ENTERPRISE))
        assert sorted(one["status"] for one in shop.stripe.objects("subscription")) in (
            ["canceled", "incomplete"],
            ["incomplete", "incomplete_expired"],
        )
        assert shop.subscription(user).tier is Tier.ENTERPRISE

    def test_a_card_that_cannot_be_kept_is_declined(self, shop: Shop):
        request = shop.perform(shop.wants_plan(shop.user(), card="pm_card_chargeDeclined"))
        assert (request.status, request.error["code"]) == (RequestStatus.FAILED, "card_declined")
        assert shop.stripe.objects("subscription") == []

    def test_one_whose_first_payment_never_comes_expires(self, shop: Shop):
        user = shop.user()
        shop.perform(shop.wants_plan(user))
        shop.stripe.advance_clock(hours=24)
        shop.handle_all()
        assert (shop.subscription(user), tier(shop, user)) == (None, Tier.FREE)


class TestChanging:
    def test_an_upgrade_is_paid_now_and_counts_now(self, shop: Shop, subscriber: User):
        done = changes(shop, subscriber, subscriptions.start_update, price_id=ENTERPRISE, tiers=TIERS)
        assert done.result["subscription"]["tier"] == "enterprise"
        assert tier(shop, subscriber) is Tier.ENTERPRISE
        assert [one["status"] for one in shop.stripe.objects("invoice")] == ["paid", "paid"]

    def test_an_upgrade_that_is_not_paid_changes_nothing(self, shop: Shop, subscriber: User):
        customer = shop.fresh(subscriber).stripe_customer_id
        bad = shop.stripe_sync.gateway.attach("pm_card_chargeCustomerFail", customer=customer, key="bad")["id"]
        shop.stripe_sync.gateway.set_default(bad, customer=customer, key="bad-default")
        shop.stripe.change(shop.stripe.objects("subscription")[0]["id"], default_payment_method=bad)
        failed = changes(shop, subscriber, subscriptions.start_update, price_id=ENTERPRISE, tiers=TIERS)
        assert (failed.status, failed.error["code"]) == (RequestStatus.FAILED, "card_declined")
        shop.handle_all()
        assert tier(shop, subscriber) is Tier.PREMIUM

    def test_a_downgrade_is_settled_with_the_next_invoice(self, shop: Shop, subscriber: User):
        changes(shop, subscriber, subscriptions.start_update, price_id=ENTERPRISE, tiers=TIERS)
        changes(shop, subscriber, subscriptions.start_update, price_id=PREMIUM, tiers=TIERS)
        assert tier(shop, subscriber) is Tier.PREMIUM
        assert len(shop.stripe.objects("invoice")) == 2

    def test_a_change_whose_answer_was_lost_is_made_once(self, shop: Shop, subscriber: User):
        shop.stripe.fail_next("POST", "/v1/subscriptions/*", "500", when="after")
        changes(shop, subscriber, subscriptions.start_update, price_id=ENTERPRISE, tiers=TIERS)
        assert len(shop.stripe.objects("invoice")) == 2
        assert tier(shop, subscriber) is Tier.ENTERPRISE

    def test_canceling_lets_the_paid_period_end_and_can_be_taken_back(self, shop: Shop, subscriber: User):
        canceled = changes(shop, subscriber, subscriptions.start_cancel).result
        assert canceled["subscription"]["cancelAtPeriodEnd"] is True
        assert datetime.fromisoformat(canceled["endsAt"]) > datetime.now(UTC)
        assert tier(shop, subscriber) is Tier.PREMIUM
        resumed = changes(shop, subscriber, subscriptions.start_resume).result
        assert resumed["subscription"]["cancelAtPeriodEnd"] is False

    def test_a_canceled_one_is_over_with_its_period(self, shop: Shop, subscriber: User):
        changes(shop, subscriber, subscriptions.start_cancel)
        shop.stripe.advance_clock(days=32)
        shop.handle_all()
        assert tier(shop, subscriber) is Tier.FREE

    def test_a_paused_one_can_be_resumed(self, shop: Shop, subscriber: User):
        shop.stripe.pause_subscription(shop.stripe.objects("subscription")[0]["id"])
        shop.handle_all()
        assert tier(shop, subscriber) is Tier.FREE
        resumed = changes(shop, subscriber, subscriptions.start_resume)
        shop.handle_all()
        assert resumed.status is RequestStatus.DONE
        assert tier(shop, subscriber) is Tier.PREMIUM


class TestRenewing:
    def test_a_renewal_that_fails_leaves_three_days_and_then_the_free_tier(self, shop: Shop, subscriber: User):
        customer = shop.fresh(subscriber).stripe_customer_id
        bad = shop.stripe_sync.gateway.attach("pm_card_chargeCustomerFail", customer=customer, key="bad")["id"]
        shop.stripe.change(shop.stripe.objects("subscription")[0]["id"], default_payment_method=bad)
        shop.stripe.advance_clock(days=32)
        shop.handle_all()
        assert shop.subscription(subscriber).status == "past_due"
        assert tier(shop, subscriber) is Tier.PREMIUM
        assert shop.scalar("SELECT count(*) FROM notifications WHERE kind = 'payment_failed'") >= 1
        shop.stripe.advance_clock(days=30)
        shop.handle_all()
        assert tier(shop, subscriber) is Tier.FREE

    def test_a_renewal_moves_the_period_and_its_invoice_is_shown(self, shop: Shop, subscriber: User):
        before = shop.subscription(subscriber).current_period_end
        shop.stripe.advance_clock(days=32)
        shop.handle_all()
        assert shop.subscription(subscriber).current_period_end > before
        assert shop.scalar("SELECT count(*) FROM invoices WHERE status = 'paid'") == 2
        assert shop.credits(subscriber) == 0


class TestPaymentMethods:
    def test_the_first_is_the_default_and_another_can_be_chosen(self, shop: Shop):
        user = shop.user()
        first = shop.perform(shop.wants_method(user)).result
        second = shop.perform(shop.wants_method(user, "pm_card_mastercard")).result
        assert (first["isDefault"], second["isDefault"], second["brand"]) == (True, False, "mastercard")
        chosen = changes(shop, user, payment_methods.start_default, method_id=second["id"]).result
        assert chosen["isDefault"] is True
        with session_scope() as session:
            shown = [(card.brand, card.is_default) for card in payment_methods.list_owned(session, user)]
        assert shown == [("mastercard", True), ("visa", False)]

    def test_a_removed_one_does_not_come_back_with_a_late_event(self, shop: Shop):
        user = shop.user()
        card = shop.perform(shop.wants_method(user)).result
        done = changes(shop, user, payment_methods.start_remove, method_id=card["id"])
        assert done.status is RequestStatus.DONE
        shop.handle_all()
        with session_scope() as session:
            assert payment_methods.list_owned(session, user) == []

    def test_a_lost_answer_keeps_one_card(self, shop: Shop):
        user = shop.user()
        request = shop.wants_method(user)
        shop.stripe.fail_next("POST", "/v1/payment_methods/*", "reset", when="after")
        shop.perform(request)
        shop.later(request)
        assert shop.perform(request).status is RequestStatus.DONE
        with session_scope() as session:
            assert len(payment_methods.list_owned(session, user)) == 1

    def test_another_users_card_is_refused(self, shop: Shop):
        shop.perform(shop.wants_method(shop.user()))
        [stolen] = [one["id"] for one in shop.stripe.objects("payment_method") if one["customer"]]
        shop.scalar("UPDATE payment_methods SET stripe_id = 'pm_unknown' RETURNING 1")  # our mirror does not know it
        request = shop.perform(shop.wants_method(shop.user(), stolen), stripe_sync(shop.stripe))
        assert request.status is RequestStatus.FAILED


class TestMoneyBack:
    def test_a_refund_takes_its_share_and_gives_it_back_when_it_fails(self, shop: Shop):
        user = shop.user()
        purchase = shop.buys(user, "pack_1000", CARD)
        refund = shop.stripe.refund(purchase.payment_intent_id)
        shop.handle_all()
        assert shop.credits(user) == 0
        shop.stripe.fail_refund(refund["id"])
        shop.handle_all()
        assert shop.credits(user) == 1150

    def test_a_refund_synced_before_its_payment_syncs_both(self, shop: Shop):
        user = shop.user()
        purchase = shop.buys(user)
        shop.stripe.pay_intent(purchase.payment_intent_id)
        shop.stripe.refund(purchase.payment_intent_id)
        shop.scalar("UPDATE purchases SET payment_intent_id = NULL RETURNING 1")  # it was made, but not recorded
        assert shop.handle_all("charge.refunded") == ["done"]
        assert (shop.credits(user), len(shop.keys(user))) == (0, 2)

    def test_a_dispute_takes_the_credits_until_it_is_won(self, shop: Shop):
        user = shop.user()
        purchase = shop.buys(user, card=CARD)
        dispute = shop.stripe.create_dispute(purchase.payment_intent_id)
        shop.handle_all()
        assert shop.credits(user) == 0
        shop.stripe.move_dispute(dispute["id"], "won")
        shop.handle_all()
        assert shop.credits(user) == 100

    def test_a_refund_of_a_subscription_takes_no_credits(self, shop: Shop, subscriber: User):
        [intent] = shop.intents()
        shop.stripe.refund(intent["id"])
        assert set(shop.handle_all("refund.created", "charge.refunded")) <= {"ignored", "done"}
        assert shop.credits(subscriber) == 0
