from urllib.request import urlopen

import pytest

from models.tables import PurchaseStatus, RequestStatus
from tests.support.stripe.shop import CARD, Shop, at_once, stripe_sync


class TestTheAppConfirms:
    def test_an_intent_is_made_and_the_app_gets_its_secret(self, shop: Shop):
        request = shop.perform(shop.wants(shop.user(), "pack_500"))
        [intent] = shop.intents()
        assert request.status is RequestStatus.DONE
        assert request.result["clientSecret"] == intent["client_secret"]
        assert (request.result["status"], request.result["amount"]) == ("pending", 39.99)
        assert (request.result["credits"], request.result["bonus"]) == (500, 50)
        assert (intent["amount"], intent["currency"]) == (3999, "usd")

    def test_credits_come_with_the_payments_event_and_a_notification(self, shop: Shop):
        user = shop.user()
        purchase = shop.buys(user, "pack_500")
        shop.stripe.pay_intent(purchase.payment_intent_id)
        assert shop.credits(user) == 0
        shop.handle_all()
        assert shop.fresh(purchase).status is PurchaseStatus.SUCCEEDED
        assert shop.credits(user) == 550
        assert shop.keys(user) == [f"pi:{purchase.payment_intent_id}"]
        assert shop.scalar("SELECT count(*) FROM notifications WHERE kind = 'purchase'") == 1

    def test_nothing_is_granted_for_a_payment_that_was_abandoned(self, shop: Shop):
        user = shop.user()
        purchase = shop.buys(user)
        shop.stripe.advance_clock(days=2)
        shop.handle_all()
        assert shop.credits(user) == 0
        assert shop.fresh(purchase).status is PurchaseStatus.PENDING


class TestChargedAtOnce:
    def test_a_good_card_is_paid_with_and_the_credits_are_there(self, shop: Shop):
        user = shop.user()
        request = shop.perform(shop.wants(user, card=CARD))
        assert request.result["status"] == "succeeded"
        assert request.result["clientSecret"] is None
        assert shop.credits(user) == 100

    def test_the_events_that_follow_grant_nothing_more(self, shop: Shop):
        user = shop.user()
        shop.buys(user, card=CARD)
        assert "ignored" not in shop.handle_all("payment_intent.created", "payment_intent.succeeded")
        assert shop.credits(user) == 100

    def test_a_declined_card_says_why_and_another_one_can_still_pay(self, shop: Shop):
        user = shop.user()
        request = shop.perform(shop.wants(user, card="pm_card_chargeDeclinedInsufficientFunds"))
        purchase = shop.purchase(request)
        assert request.status is RequestStatus.FAILED
        assert request.error["code"] == "card_declined"
        assert "declined" in request.error["message"] or "funds" in request.error["message"]
        assert (purchase.status, purchase.failure["declineCode"]) == (PurchaseStatus.FAILED, "insufficient_funds")
        shop.stripe.pay_intent(purchase.payment_intent_id)
        shop.handle_all()
        assert shop.credits(user) == 100
        assert shop.fresh(purchase).status is PurchaseStatus.SUCCEEDED

    def test_a_card_that_asks_its_owner_is_paid_once_they_agreed(self, shop: Shop):
        user = shop.user()
        request = shop.perform(shop.wants(user, card="pm_card_authenticationRequired"))
        assert request.result["status"] == "requires_action"
        assert request.result["clientSecret"]
        page = request.result["authenticationUrl"]
        assert page.startswith(shop.stripe.url)
        assert "Do you want to pay 9.99 USD?" in urlopen(page).read().decode()
        urlopen(page, data=b"decision=approve")
        shop.handle_all()
        assert shop.credits(user) == 100
        assert shop.purchase(request).authentication_url is None

    def test_a_card_whose_owner_does_not_agree_pays_nothing(self, shop: Shop):
        user = shop.user()
        request = shop.perform(shop.wants(user, card="pm_card_authenticationRequired"))
        shop.stripe.fail_3ds(request.result["clientSecret"])
        shop.handle_all()
        assert shop.credits(user) == 0
        assert shop.purchase(request).status is PurchaseStatus.FAILED

    def test_a_payment_that_takes_its_time_is_granted_when_it_came(self, shop: Shop):
        user = shop.user()
        shop.stripe.keep_processing()
        purchase = shop.buys(user, card=CARD)
        assert (purchase.status, shop.credits(user)) == (PurchaseStatus.PROCESSING, 0)
        shop.stripe.settle_processing(purchase.payment_intent_id)
        shop.handle_all()
        assert shop.credits(user) == 100

    def test_a_card_that_is_not_there_is_refused_for_good(self, shop: Shop):
        request = shop.perform(shop.wants(shop.user(), card="pm_nobodys"))
        assert request.status is RequestStatus.FAILED
        assert (request.error["code"], request.error["message"]) == (
            "resource_missing",
            "This payment method cannot be used.",
        )
        assert shop.purchase(request).status is PurchaseStatus.FAILED


class TestOddPayments:
    @pytest.mark.parametrize("wrong", [{"amount_received": 1}, {"currency": "eur"}, {"customer": "cus_other"}])
    def test_a_payment_of_another_amount_grants_nothing_and_raises_an_alert(self, shop: Shop, wrong):
        user = shop.user()
        purchase = shop.buys(user)
        shop.stripe.pay_intent(purchase.payment_intent_id)
        shop.stripe.change(purchase.payment_intent_id, **wrong)
        shop.handle_all()
        assert shop.credits(user) == 0
        assert shop.fresh(purchase).status is PurchaseStatus.REVIEW
        assert shop.scalar("SELECT count(*) FROM billing_alerts WHERE kind = 'payment_mismatch'") == 1

    def test_a_purchase_that_we_took_for_canceled_is_granted_when_it_was_paid(self, shop: Shop):
        user = shop.user()
        purchase = shop.buys(user)
        shop.scalar("UPDATE purchases SET status = 'canceled' RETURNING 1")
        shop.stripe.pay_intent(purchase.payment_intent_id)
        shop.handle_all()
        assert shop.credits(user) == 100

    def test_a_canceled_intent_closes_the_purchase(self, shop: Shop):
        purchase = shop.buys(shop.user())
        shop.stripe_sync.gateway.cancel_payment(purchase.payment_intent_id, key="cancel-1")
        shop.handle_all()
        assert shop.fresh(purchase).status is PurchaseStatus.CANCELED


class TestCustomers:
    def test_first_purchases_at_once_make_one_customer(self, shop: Shop):
        user = shop.user()
        requested = [shop.wants(user, card=CARD) for _ in range(6)]
        at_once(
            [
                lambda operation=operation: shop.perform(operation, stripe_sync(shop.stripe, retries=2))
                for operation in requested
            ]
        )
        assert len(shop.stripe.objects("customer")) == 1
        assert {intent["customer"] for intent in shop.intents()} == {shop.fresh(user).stripe_customer_id}
        assert shop.credits(user) == 600

    def test_a_customer_with_a_lost_row_and_key_is_found_again(self, shop: Shop):
        user = shop.user()
        shop.buys(user)
        shop.scalar("UPDATE users SET stripe_customer_id = NULL RETURNING 1")
        shop.stripe.forget_idempotency_keys()
        shop.buys(user)
        assert len(shop.stripe.objects("customer")) == 1

    def test_a_user_renamed_between_two_tries_keeps_the_first_customer(self, shop: Shop):
        user = shop.user()
        shop.stripe.fail_next("POST", "/v1/customers", "reset", when="after")
        request = shop.perform(shop.wants(user))
        shop.scalar("UPDATE users SET email = 'new@example.com' RETURNING 1")
        shop.later(request)
        assert shop.perform(request).status is RequestStatus.DONE
        assert len(shop.stripe.objects("customer")) == 1

    def test_a_customer_that_was_deleted_over_there_is_replaced(self, shop: Shop):
        user = shop.user()
        shop.buys(user)
        first = shop.fresh(user).stripe_customer_id
        shop.stripe.delete_customer(first)
        purchase = shop.buys(user, card=CARD)
        assert purchase.status is PurchaseStatus.SUCCEEDED
        assert shop.fresh(user).stripe_customer_id not in (None, first)
        shop.handle_all()
        assert shop.fresh(user).stripe_customer_id is not None
        assert shop.credits(user) == 100


class TestOurKey:
    def test_a_key_that_stripe_refuses_is_reported_at_once_without_effect(self, shop: Shop):
        request = shop.perform(shop.wants(shop.user(), card=CARD), stripe_sync(shop.stripe, key="sk_test_wrong"))
        assert request.status is RequestStatus.FAILED
        assert request.error["code"] == "payments_unavailable"
        assert shop.intents() == []
