"""The tier follows the subscription as Stripe has it now, forgives three days, and believes no unknown word."""

import itertools
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from models.errors import Conflict, InvalidInput, NotFound
from models.rules.pricing import Tier
from models.services import alerts, credits, customers, stripe_requests, subscriptions
from models.services.subscriptions import AlreadySubscribed
from models.services.waiting import NotYet
from models.stripe_request import RequestKind
from models.subscription import Subscription
from tests import factories
from tests.factories import billing
from tests.factories.billing import NOW, TIERS

PREMIUM, ENTERPRISE = TIERS
DAY = timedelta(days=1)


def sync(session: Session, subscription: dict[str, Any], now: Any = NOW) -> Subscription | None:
    return subscriptions.sync_subscription(session, subscription, now=now, tiers=TIERS)


def kinds(session: Session) -> list[str]:
    return [alert.kind for alert in alerts.list_open(session)]


class TestTheTier:
    @pytest.mark.parametrize(
        ("status", "tier"),
        [
            ("active", Tier.PREMIUM),
            ("trialing", Tier.PREMIUM),
            ("past_due", Tier.PREMIUM),
            ("incomplete", Tier.FREE),
            ("incomplete_expired", Tier.FREE),
            ("unpaid", Tier.FREE),
            ("paused", Tier.FREE),
            ("canceled", Tier.FREE),
            ("dreaming", Tier.FREE),
        ],
    )
    def test_is_what_the_status_entitles_to(self, session: Session, status: str, tier: Tier) -> None:
        user = billing.customer(session)
        row = sync(session, billing.subscription(session, user, status))
        assert row is not None
        assert (user.subscription_tier, row.grants, row.tier) == (tier, tier, Tier.PREMIUM)
        assert credits.balance(session, user.id).balance == 0

    def test_follows_every_order_of_statuses_to_the_last(self, session: Session) -> None:
        user = billing.customer(session)
        subscription = billing.subscription(session, user)
        for story in itertools.permutations(["incomplete", "active", "past_due", "paused"]):
            for status in story:
                for _ in range(2):
                    sync(session, subscription | {"status": status})
            assert user.subscription_tier == (Tier.PREMIUM if story[-1] in ("active", "past_due") else Tier.FREE)

    def test_changes_with_the_price_up_and_down(self, session: Session) -> None:
        user = billing.customer(session)
        subscription = billing.subscription(session, user)
        for price, tier in ((PREMIUM, Tier.PREMIUM), (ENTERPRISE, Tier.ENTERPRISE), (PREMIUM, Tier.PREMIUM)):
            items = {"data": [subscription["items"]["data"][0] | {"price": {"id": price}}]}
            sync(session, subscription | {"items": items})
            assert user.subscription_tier is tier

    def test_ends_with_the_subscription_and_leaves_every_workflow_in_place(self, session: Session) -> None:
        user = billing.customer(session)
        subscription = billing.subscription(session, user)
        sync(session, subscription)
        flows = [factories.workflow(session, user) for _ in range(5)]
        sync(session, subscription | {"status": "canceled", "ended_at": int(NOW.timestamp())})
        assert user.subscription_tier is Tier.FREE
        assert all(flow.deleted_at is None for flow in flows)
        assert subscriptions.current(session, user) is None

    def test_is_kept_until_the_period_ends_when_it_is_canceled_for_then(self, session: Session) -> None:
        user = billing.customer(session)
        row = sync(session, billing.subscription(session, user, cancel_at_period_end=True))
        assert row is not None
        assert row.cancel_at_period_end
        assert row.current_period_end == NOW + 30 * DAY
        assert user.subscription_tier is Tier.PREMIUM

    def test_is_the_best_of_two_and_a_person_is_called(self, session: Session) -> None:
        user = billing.customer(session)
        first, second = billing.subscription(session, user), billing.subscription(session, user, price=ENTERPRISE)
        for subscription in (first, second, first):
            sync(session, subscription)
        assert user.subscription_tier is Tier.ENTERPRISE
        assert kinds(session) == ["two_subscriptions"]
        sync(session, second | {"status": "canceled"})
        assert user.subscription_tier is Tier.PREMIUM


class TestWordsThatNobodyKnowsYet:
    def test_give_nothing_new_take_nothing_away_and_call_a_person(self, session: Session) -> None:
        user = billing.customer(session)
        subscription = billing.subscription(session, user)
        sync(session, subscription)
        sync(session, subscription | {"status": "dreaming"})
        assert user.subscription_tier is Tier.PREMIUM
        items = {"data": [subscription["items"]["data"][0] | {"price": {"id": ENTERPRISE}}]}
        sync(session, subscription | {"status": "dreaming", "items": items})
        assert user.subscription_tier is Tier.PREMIUM
        assert kinds(session) == ["unknown_status"]

    def test_keep_nothing_for_longer_than_was_paid_for(self, session: Session) -> None:
        user = billing.customer(session)
        subscription = billing.subscription(session, user)
        sync(session, subscription)
        sync(session, subscription | {"status": "dreaming"})
        assert subscriptions.end_grace(session, NOW + 32 * DAY) == []
        assert subscriptions.end_grace(session, NOW + 33 * DAY) == [user.id]
        assert user.subscription_tier is Tier.FREE

    def test_of_a_price_count_for_nothing(self, session: Session) -> None:
        user = billing.customer(session)
        sync(session, billing.subscription(session, user, price="price_of_somebody"))
        assert user.subscription_tier is Tier.FREE
        assert kinds(session) == ["unknown_price"]

    def test_of_a_price_that_was_ours_keep_its_tier(self, session: Session) -> None:
        user = billing.customer(session)
        subscription = billing.subscription(session, user)
        sync(session, subscription)
        subscriptions.sync_subscription(session, subscription, now=NOW, tiers={"price_new": "premium"})
        assert user.subscription_tier is Tier.PREMIUM


class TestTheGrace:
    def test_lasts_three_days_from_the_first_failure(self, session: Session) -> None:
        user = billing.customer(session)
        late = billing.subscription(session, user, "past_due")
        for hours, tier in ((0, Tier.PREMIUM), (71, Tier.PREMIUM), (72, Tier.FREE), (90, Tier.FREE)):
            sync(session, late, NOW + timedelta(hours=hours))
            assert user.subscription_tier is tier, hours

    def test_ends_by_itself_when_no_news_comes(self, session: Session) -> None:
        user, other = billing.customer(session), billing.customer(session)
        sync(session, billing.subscription(session, user, "past_due"))
        sync(session, billing.subscription(session, other))
        assert subscriptions.end_grace(session, NOW + 3 * DAY - timedelta(seconds=1)) == []
        assert subscriptions.end_grace(session, NOW + 3 * DAY) == [user.id]
        assert subscriptions.end_grace(session, NOW + 9 * DAY) == []
        assert (user.subscription_tier, other.subscription_tier) == (Tier.FREE, Tier.PREMIUM)

    def test_begins_anew_after_a_payment(self, session: Session) -> None:
        user = billing.customer(session)
        late = billing.subscription(session, user, "past_due")
        sync(session, late)
        sync(session, late, NOW + 4 * DAY)
        assert user.subscription_tier is Tier.FREE
        sync(session, late | {"status": "active"}, NOW + 5 * DAY)
        assert user.subscription_tier is Tier.PREMIUM
        row = sync(session, late, NOW + 30 * DAY)
        assert row is not None
        assert (user.subscription_tier, row.past_due_since) == (Tier.PREMIUM, NOW + 30 * DAY)


class TestWhoseItIs:
    def test_is_known_by_the_customer_or_by_our_id(self, session: Session) -> None:
        user, restored = billing.customer(session), factories.user(session)
        assert sync(session, billing.subscription(session, user, metadata={})) is not None
        row = sync(session, billing.subscription(session, restored, customer="cus_from_before_the_restore"))
        assert row is not None
        assert row.user_id == restored.id

    def test_is_known_by_the_subscription_once_the_customer_is_gone(self, session: Session) -> None:
        user = billing.customer(session)
        subscription = billing.subscription(session, user, metadata={})
        sync(session, subscription)
        customers.sync_customer(session, {"id": subscription["customer"], "deleted": True})
        sync(session, subscription | {"status": "canceled"})
        assert user.subscription_tier is Tier.FREE

    def test_may_be_nobodys(self, session: Session) -> None:
        user = billing.customer(session)
        assert sync(session, billing.subscription(session, user, customer="cus_x", metadata={})) is None

    def test_waits_for_a_user_who_is_not_here(self, session: Session) -> None:
        user = billing.customer(session)
        lost = {"agentforge_user": str(uuid4())}
        with pytest.raises(NotYet):
            sync(session, billing.subscription(session, user, customer="cus_x", metadata=lost))


class TestWishes:
    def test_to_subscribe_name_the_price_and_carry_our_ids(self, session: Session) -> None:
        user = billing.customer(session)
        sync(session, unfinished := billing.subscription(session, user, "incomplete"))
        request = subscriptions.start(session, user, price_id=PREMIUM, payment_method_id="pm_new", tiers=TIERS)
        assert request.kind is RequestKind.SUBSCRIPTION_CREATE
        assert request.key == f"sub-{request.id}-a1"
        assert request.params == {
            "price": PREMIUM,
            "payment_method": "pm_new",
            "replaces": [unfinished["id"]],
            "metadata": {"agentforge_user": str(user.id), "agentforge_request": str(request.id)},
        }

    def test_to_subscribe_to_what_is_no_plan_are_refused(self, session: Session) -> None:
        with pytest.raises(InvalidInput):
            subscriptions.start(
                session, billing.customer(session), price_id="price_x", payment_method_id=None, tiers=TIERS
            )

    @pytest.mark.parametrize("status", ["active", "trialing", "past_due", "unpaid", "paused"])
    def test_to_subscribe_twice_are_refused(self, session: Session, status: str) -> None:
        user = billing.customer(session)
        sync(session, billing.subscription(session, user, status))
        with pytest.raises(AlreadySubscribed):
            subscriptions.start(session, user, price_id=PREMIUM, payment_method_id=None, tiers=TIERS)

    def test_to_subscribe_again_after_the_end_or_a_failure_are_heard(self, session: Session) -> None:
        user = billing.customer(session)
        sync(session, billing.subscription(session, user, "canceled"))
        first = subscriptions.start(session, user, price_id=PREMIUM, payment_method_id=None, tiers=TIERS)
        with pytest.raises(AlreadySubscribed):
            subscriptions.start(session, user, price_id=PREMIUM, payment_method_id=None, tiers=TIERS)
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
        for wish in (subscriptions.start_cancel, subscriptions.start_resume):
            with pytest.raises(NotFound):
                wish(session, user)
        sync(session, subscription := billing.subscription(session, user))
        assert subscriptions.start_cancel(session, user).params == {"subscription": subscription["id"], "cancel": True}
        with pytest.raises(Conflict):
            subscriptions.start_resume(session, user)
        sync(session, subscription | {"cancel_at_period_end": True})
        assert subscriptions.start_resume(session, user).params["paused"] is False
        sync(session, subscription | {"status": "paused"})
        assert subscriptions.start_resume(session, user).params["paused"] is True


def test_the_current_one_is_the_live_one_before_one_that_is_not_paid_yet(session: Session) -> None:
    user = billing.customer(session)
    assert subscriptions.current(session, user) is None
    later = int(NOW.timestamp()) + 60
    sync(session, billing.subscription(session, user, "incomplete", start_date=later))
    sync(session, live := billing.subscription(session, user))
    sync(session, billing.subscription(session, user, "canceled", start_date=later))
    row = subscriptions.current(session, user)
    assert row is not None
    assert row.stripe_id == live["id"]
