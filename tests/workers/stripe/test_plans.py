"""The plan screen of the app: one call, from wherever a user's subscription stands, with a card or without one."""

import pytest

from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.stripe import payment_methods, subscriptions
from models.tables import RequestStatus, User
from tests.support.stripe.shop import CARD, TIERS, Shop, at_once, stripe_sync

PREMIUM, ENTERPRISE = "price_premium_monthly", "price_enterprise_monthly"
ASKS, FAILS = "pm_card_authenticationRequired", "pm_card_chargeCustomerFail"


@pytest.fixture
def subscriber(shop: Shop) -> User:
    """A user with a paid premium plan."""
    user = shop.user()
    shop.perform(shop.wants_plan(user, card=CARD))
    return user


def tier(shop: Shop, user: User) -> Tier:
    return shop.fresh(user).subscription_tier


def statuses(shop: Shop) -> list[str]:
    return [one["status"] for one in shop.stripe.objects("subscription")]


def wants(shop: Shop, user: User, start, **how):
    with session_scope() as session:
        request = start(session, user, **how)
    return shop.perform(request)


def cards(shop: Shop, user: User) -> list[tuple[str, bool]]:
    with session_scope() as session:
        return [(card.brand, card.is_default) for card in payment_methods.list_owned(session, user)]


class TestWithACard:
    def test_it_is_paid_at_once_and_the_tier_is_there_before_any_event(self, shop: Shop):
        user = shop.user()
        request = shop.perform(shop.wants_plan(user, card=CARD))
        assert request.status is RequestStatus.DONE
        assert request.result["subscription"]["status"] == "active"
        assert request.result["clientSecret"] is None
        assert tier(shop, user) is Tier.PREMIUM
        assert cards(shop, user) == [("visa", True)]

    def test_authentication_with_the_secret_activates_the_subscription(self, shop: Shop):
        user = shop.user()
        request = shop.perform(shop.wants_plan(user, card=ASKS))
        assert request.result["subscription"]["status"] == "requires_action"
        assert request.result["authenticationUrl"].startswith(shop.stripe.url)
        assert tier(shop, user) is Tier.FREE
        shop.stripe.complete_3ds(request.result["clientSecret"])
        shop.handle_all()
        assert (tier(shop, user), statuses(shop)) == (Tier.PREMIUM, ["active"])

    def test_the_same_request_again_while_the_bank_asks_keeps_the_secret(self, shop: Shop):
        user = shop.user()
        first = shop.perform(shop.wants_plan(user, card=ASKS))
        [method] = [one["id"] for one in shop.stripe.objects("payment_method") if one["customer"]]
        again = shop.perform(shop.wants_plan(user, card=method))
        assert again.result == first.result
        assert statuses(shop) == ["incomplete"]

    def test_a_decline_leaves_nothing_half_done(self, shop: Shop):
        user = shop.user()
        request = shop.perform(shop.wants_plan(user, card=FAILS))
        assert request.status is RequestStatus.FAILED
        assert (request.error["code"], request.error["declined"]) == ("card_declined", True)
        assert request.error["message"] == "Your card was declined."
        shop.handle_all()
        assert statuses(shop) == ["incomplete_expired"]
        assert [one["status"] for one in shop.stripe.objects("invoice")] == ["void"]
        assert (tier(shop, user), shop.subscription(user)) == (Tier.FREE, None)
        assert cards(shop, user) == [("visa", False)]

    def test_another_card_after_a_decline_pays(self, shop: Shop):
        user = shop.user()
        shop.perform(shop.wants_plan(user, card=FAILS))
        assert shop.perform(shop.wants_plan(user, card=CARD)).result["subscription"]["status"] == "active"
        assert statuses(shop) == ["incomplete_expired", "active"]

    def test_a_payment_that_takes_its_time_activates_it_when_it_came(self, shop: Shop):
        user = shop.user()
        shop.stripe.keep_processing()
        request = shop.perform(shop.wants_plan(user, card=CARD))
        assert (request.result["subscription"]["status"], request.result["clientSecret"]) == ("incomplete", None)
        again = shop.perform(shop.wants_plan(user, card=CARD))
        assert again.result["subscription"]["status"] == "incomplete"
        shop.stripe.settle_processing(shop.intents()[0]["id"])
        shop.handle_all()
        assert (tier(shop, user), statuses(shop)) == (Tier.PREMIUM, ["active"])

    @pytest.mark.parametrize("kind", ["reset", "timeout", "500"])
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize(("card", "ends"), [(CARD, ["active"]), (FAILS, ["incomplete_expired"])])
    def test_a_lost_answer_makes_and_charges_one(self, shop: Shop, kind, when, card, ends):
        user = shop.user()
        request = shop.wants_plan(user, card=card)
        shop.stripe.fail_next("POST", "/v1/subscriptions", kind, when=when, seconds=1)
        shop.perform(request, stripe_sync(shop.stripe, timeout=0.5))
        shop.later(request)
        done = shop.perform(request)
        assert done.status is (RequestStatus.DONE if card == CARD else RequestStatus.FAILED)
        assert statuses(shop) == ends
        assert len(shop.stripe.objects("charge")) == 1

    def test_a_decline_is_recorded_by_the_successor_of_a_dead_worker(self, shop: Shop):
        user = shop.user()
        request = shop.wants_plan(user, card=FAILS)
        shop.stripe.fail_next("DELETE", "/v1/subscriptions/*", "reset", when="after")
        assert shop.perform(request).status is RequestStatus.PENDING
        shop.later(request)
        assert shop.perform(request).error["code"] == "card_declined"
        assert statuses(shop) == ["incomplete_expired"]


class TestTwice:
    def test_two_taps_are_one_request(self, shop: Shop):
        user = shop.user()
        requested = at_once([lambda: shop.wants_plan(user, card=CARD)] * 4)
        assert len({operation.id for operation in requested}) == 1
        at_once([lambda operation=operation: shop.perform(operation) for operation in requested])
        assert statuses(shop) == ["active"]
        assert len(shop.stripe.objects("charge")) == 1

    def test_the_plan_that_one_has_is_answered_and_costs_nothing(self, shop: Shop, subscriber: User):
        again = shop.perform(shop.wants_plan(subscriber, card="pm_card_mastercard"))
        assert again.result["subscription"]["status"] == "active"
        assert (statuses(shop), len(shop.stripe.objects("charge"))) == (["active"], 1)
        assert cards(shop, subscriber) == [("visa", True)]

    def test_one_that_we_do_not_know_yet_is_not_doubled(self, shop: Shop, subscriber: User):
        shop.scalar("DELETE FROM subscriptions RETURNING 1")
        again = shop.perform(shop.wants_plan(subscriber, ENTERPRISE, CARD))
        assert again.result["subscription"]["tier"] == "enterprise"
        assert statuses(shop) == ["active"]


class TestToAnotherPlan:
    @pytest.mark.parametrize("card", [None, "pm_card_mastercard"])
    def test_a_dearer_one_is_paid_now_and_counts_now(self, shop: Shop, subscriber: User, card):
        done = shop.perform(shop.wants_plan(subscriber, ENTERPRISE, card))
        assert done.result["subscription"]["tier"] == "enterprise"
        assert (tier(shop, subscriber), statuses(shop)) == (Tier.ENTERPRISE, ["active"])
        assert [one["status"] for one in shop.stripe.objects("invoice")] == ["paid", "paid"]
        paid_with = shop.stripe.objects("charge")[-1]["payment_method_details"]["card"]["brand"]
        assert paid_with == ("mastercard" if card else "visa")

    def test_one_that_is_declined_changes_nothing(self, shop: Shop, subscriber: User):
        before = shop.stripe.objects("subscription")[0]["default_payment_method"]
        failed = shop.perform(shop.wants_plan(subscriber, ENTERPRISE, FAILS))
        assert (failed.status, failed.error["code"]) == (RequestStatus.FAILED, "card_declined")
        shop.handle_all()
        assert (tier(shop, subscriber), statuses(shop)) == (Tier.PREMIUM, ["active"])
        assert shop.stripe.objects("subscription")[0]["default_payment_method"] == before

    def test_a_cheaper_one_is_settled_with_the_next_invoice(self, shop: Shop, subscriber: User):
        shop.perform(shop.wants_plan(subscriber, ENTERPRISE, CARD))
        shop.perform(shop.wants_plan(subscriber, PREMIUM, CARD))
        assert tier(shop, subscriber) is Tier.PREMIUM
        assert len(shop.stripe.objects("invoice")) == 2


class TestComingBack:
    def test_before_the_end_it_goes_on_and_costs_nothing(self, shop: Shop, subscriber: User):
        wants(shop, subscriber, subscriptions.start_cancel)
        back = shop.perform(shop.wants_plan(subscriber, card=CARD))
        assert back.result["subscription"]["cancelAtPeriodEnd"] is False
        assert (statuses(shop), len(shop.stripe.objects("charge"))) == (["active"], 1)

    def test_to_another_plan_before_the_end_it_changes_and_goes_on(self, shop: Shop, subscriber: User):
        wants(shop, subscriber, subscriptions.start_cancel)
        back = shop.perform(shop.wants_plan(subscriber, ENTERPRISE, CARD)).result["subscription"]
        assert (back["cancelAtPeriodEnd"], back["tier"]) == (False, "enterprise")
        assert statuses(shop) == ["active"]

    def test_after_the_end_it_begins_anew(self, shop: Shop, subscriber: User):
        wants(shop, subscriber, subscriptions.start_cancel)
        shop.stripe.advance_clock(days=32)
        shop.handle_all()
        back = shop.perform(shop.wants_plan(subscriber, card=CARD))
        assert back.result["subscription"]["status"] == "active"
        assert statuses(shop) == ["canceled", "active"]

    @pytest.mark.parametrize("price", [PREMIUM, ENTERPRISE])
    def test_from_a_pause_it_starts_again(self, shop: Shop, subscriber: User, price):
        shop.stripe.pause_subscription(shop.stripe.objects("subscription")[0]["id"])
        shop.handle_all()
        back = shop.perform(shop.wants_plan(subscriber, price, CARD))
        assert back.result["subscription"]["status"] == "active"
        assert tier(shop, subscriber) is Tier(TIERS[price])

    @pytest.mark.parametrize("price", [PREMIUM, ENTERPRISE])
    def test_what_is_behind_is_paid_with_the_new_card(self, shop: Shop, subscriber: User, price):
        self._fall_behind(shop, subscriber)
        back = shop.perform(shop.wants_plan(subscriber, price, CARD))
        assert back.result["subscription"]["status"] == "active"
        assert (tier(shop, subscriber), statuses(shop)) == (Tier(TIERS[price]), ["active"])

    def test_what_is_behind_stays_so_when_the_new_card_is_declined(self, shop: Shop, subscriber: User):
        self._fall_behind(shop, subscriber)
        back = shop.perform(shop.wants_plan(subscriber, card=FAILS))
        assert (back.status, back.error["declined"]) == (RequestStatus.FAILED, True)
        assert statuses(shop) == ["past_due"]

    @staticmethod
    def _fall_behind(shop: Shop, user: User) -> None:
        customer = shop.fresh(user).stripe_customer_id
        bad = shop.stripe_sync.gateway.attach(FAILS, customer=customer, key="bad")["id"]
        shop.stripe.change(shop.stripe.objects("subscription")[0]["id"], default_payment_method=bad)
        shop.stripe.advance_clock(days=32)
        shop.handle_all()
        assert statuses(shop) == ["past_due"]


class TestWithoutACard:
    def test_the_same_request_again_keeps_the_secret(self, shop: Shop):
        user = shop.user()
        first = shop.perform(shop.wants_plan(user))
        assert shop.perform(shop.wants_plan(user)).result == first.result
        assert statuses(shop) == ["incomplete"]

    def test_a_card_pays_what_was_begun_without_one(self, shop: Shop):
        user = shop.user()
        shop.perform(shop.wants_plan(user))
        assert shop.perform(shop.wants_plan(user, card=CARD)).result["subscription"]["status"] == "active"
        assert statuses(shop) == ["incomplete_expired", "active"]
