"""The tier follows the subscription as Stripe has it now, forgives three days, and believes no unknown word."""

import itertools
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from models.errors import NotYet
from models.rules.prices.pricing import Tier
from models.services.credits import ledger
from models.services.operations import alerts
from models.services.stripe import customers, invoices, subscriptions
from models.tables import Subscription
from tests.support import factories
from tests.support.factories import billing
from tests.support.factories.billing import NOW, TIERS

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
        assert ledger.balance(session, user.id).balance == 0

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

    def test_ends_with_the_subscription_and_keeps_every_workflow(self, session: Session) -> None:
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

    def test_ends_by_itself_without_an_event(self, session: Session) -> None:
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
        start = int((NOW + 30 * DAY).timestamp())
        items = {"data": [late["items"]["data"][0] | {"current_period_start": start}]}
        row = sync(session, late | {"items": items}, NOW + 31 * DAY)
        assert row is not None
        assert (user.subscription_tier, row.past_due_since) == (Tier.PREMIUM, NOW + 30 * DAY)

    def test_counts_from_the_unpaid_periods_start_even_for_a_late_event(self, session: Session) -> None:
        user, other = billing.customer(session), billing.customer(session)
        row = sync(session, billing.subscription(session, user, "past_due"), NOW + 2 * DAY)
        assert row is not None
        assert (row.past_due_since, row.grants_until, user.subscription_tier) == (NOW, NOW + 3 * DAY, Tier.PREMIUM)
        sync(session, billing.subscription(session, other, "past_due"), NOW + 4 * DAY)
        assert other.subscription_tier is Tier.FREE

    def test_of_a_change_in_the_middle_counts_from_its_invoice(self, session: Session) -> None:
        user = billing.customer(session)
        created = int((NOW + 10 * DAY).timestamp())
        invoice = {"id": "in_1", "status": "open", "billing_reason": "subscription_update", "created": created}
        row = sync(session, billing.subscription(session, user, "past_due", latest_invoice=invoice), NOW + 11 * DAY)
        assert row is not None
        assert row.past_due_since == NOW + 10 * DAY

    def test_is_not_begun_again_by_the_next_period(self, session: Session) -> None:
        user = billing.customer(session)
        late = billing.subscription(session, user, "past_due")
        sync(session, late)
        start = int((NOW + 30 * DAY).timestamp())
        items = {"data": [late["items"]["data"][0] | {"current_period_start": start}]}
        sync(session, late | {"items": items}, NOW + 31 * DAY)
        assert user.subscription_tier is Tier.FREE


class TestWithoutCollection:
    def test_the_tier_ends_with_the_period_that_was_paid_for(self, session: Session) -> None:
        user = billing.customer(session)
        paid = {"id": "in_1", "status": "paid"}
        void = {"pause_collection": {"behavior": "void"}, "latest_invoice": paid}
        subscription = billing.subscription(session, user, **void)
        row = sync(session, subscription)
        assert row is not None
        assert (user.subscription_tier, row.grants_until) == (Tier.PREMIUM, NOW + 30 * DAY)
        assert subscriptions.end_grace(session, NOW + 30 * DAY) == [user.id]
        assert user.subscription_tier is Tier.FREE

    @pytest.mark.parametrize("status", ["draft", "void", "open"])
    def test_a_period_whose_invoice_is_not_paid_grants_nothing(self, session: Session, status: str) -> None:
        user = billing.customer(session)
        void = {"pause_collection": {"behavior": "void"}, "latest_invoice": {"id": "in_1", "status": status}}
        sync(session, billing.subscription(session, user, **void))
        assert user.subscription_tier is Tier.FREE

    @pytest.mark.parametrize("behavior", ["keep_as_draft", "mark_uncollectible"])
    def test_what_is_served_without_payment_keeps_its_tier(self, session: Session, behavior: str) -> None:
        user = billing.customer(session)
        pause = {"pause_collection": {"behavior": behavior}, "latest_invoice": {"id": "in_1", "status": "draft"}}
        sync(session, billing.subscription(session, user, **pause))
        assert user.subscription_tier is Tier.PREMIUM

    def test_a_listed_one_is_judged_by_our_mirror_of_its_invoice(self, session: Session) -> None:
        user = billing.customer(session)
        row = invoices.sync_invoice(session, billing.invoice(session, user))
        assert row is not None
        void = {"pause_collection": {"behavior": "void"}, "latest_invoice": row.stripe_id}
        sync(session, billing.subscription(session, user, **void))
        assert user.subscription_tier is Tier.PREMIUM


class TestAddOns:
    @pytest.mark.parametrize("first", [True, False])
    def test_beside_the_plan_change_nothing_wherever_they_stand(self, session: Session, first: bool) -> None:
        user = billing.customer(session)
        subscription = billing.subscription(session, user, price=ENTERPRISE)
        [plan] = subscription["items"]["data"]
        add_on = plan | {"id": "si_add_on", "price": {"id": "price_of_seats"}}
        items = {"data": [add_on, plan] if first else [plan, add_on]}
        row = sync(session, subscription | {"items": items})
        assert row is not None
        assert (user.subscription_tier, row.item_id, row.price_id) == (Tier.ENTERPRISE, plan["id"], ENTERPRISE)
        assert kinds(session) == []


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

    def test_may_have_no_user_of_ours(self, session: Session) -> None:
        user = billing.customer(session)
        assert sync(session, billing.subscription(session, user, customer="cus_x", metadata={})) is None

    def test_waits_for_a_user_who_is_not_here(self, session: Session) -> None:
        user = billing.customer(session)
        lost = {"agentforge_user": str(uuid4())}
        with pytest.raises(NotYet):
            sync(session, billing.subscription(session, user, customer="cus_x", metadata=lost))


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
