"""Subscriptions as operators make them in Stripe's dashboard: with add-ons beside the plan, or not collected."""

import pytest

from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.stripe import subscriptions
from tests.support.stripe.shop import CARD, TIERS, Shop
from tests.workers.stripe.test_subscriptions import ENTERPRISE, subscriber, tier
from workers.gateways.stripe.gateway import StripeGateway
from workers.stripe.sync import StripeSync

__all__ = ["subscriber"]


def tell(shop: Shop, **fields) -> dict:
    """Change the one subscription at Stripe, and handle the event."""
    [found] = shop.stripe.objects("subscription")
    shop.stripe.change(found["id"], **fields)
    shop.handle(shop.stripe.emit_event("customer.subscription.updated", found["id"]))
    return found


def with_add_on(shop: Shop, *, first: bool) -> str:
    """Add seats to the subscription, before or behind its plan; the id of the plan's item."""
    [found] = shop.stripe.objects("subscription")
    [plan] = found["items"]["data"]
    seats = plan | {"id": "si_seats", "price": plan["price"] | {"id": "price_of_seats"}}
    tell(shop, items=found["items"] | {"data": [seats, plan] if first else [plan, seats]})
    return str(plan["id"])


@pytest.mark.parametrize("first", [True, False])
def test_an_add_on_takes_no_tier_wherever_it_stands(shop: Shop, subscriber, first: bool):
    with_add_on(shop, first=first)
    assert tier(shop, subscriber) is Tier.PREMIUM
    assert shop.scalar("SELECT count(*) FROM billing_alerts") == 0


class Listener(StripeGateway):
    """Hears which item a change of price names, and changes nothing: the simulator knows no second item."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.items: list[str] = []

    def change_price(self, subscription, *, item, **how):
        self.items.append(item)
        return subscription


@pytest.mark.parametrize("first", [True, False])
def test_a_change_moves_the_plan_and_not_the_add_on(shop: Shop, subscriber, first: bool):
    plan, gateway = with_add_on(shop, first=first), Listener(shop.stripe.secret_key, shop.stripe.url)
    with session_scope() as session:
        update = subscriptions.start_update(session, subscriber, price_id=ENTERPRISE, tiers=TIERS)
    shop.perform(update, StripeSync(gateway, TIERS))
    shop.perform(shop.wants_plan(subscriber, ENTERPRISE, CARD), StripeSync(gateway, TIERS))
    assert gateway.items == [plan, plan]


def test_what_is_not_collected_keeps_the_tier_until_the_paid_period_ends(shop: Shop, subscriber):
    void = {"pause_collection": {"behavior": "void", "resumes_at": None}}
    tell(shop, **void)
    assert tier(shop, subscriber) is Tier.PREMIUM
    [found] = shop.stripe.objects("subscription")
    shop.stripe.change(found["latest_invoice"], status="void")  # as Stripe makes each one that comes next
    tell(shop, **void)
    assert tier(shop, subscriber) is Tier.FREE
    shop.stripe.change(found["latest_invoice"], status="paid")
    tell(shop, pause_collection=None)
    assert tier(shop, subscriber) is Tier.PREMIUM
