from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from models.rules.prices.pricing import Tier
from tasks import billing
from tasks.queue import QueueName, TaskMessage, TaskName, set_publisher
from tests.support.stripe.shop import Shop, at_once


@pytest.fixture
def enqueued(shop: Shop) -> Iterator[list[TaskMessage]]:
    """The task messages that were published, in their order."""
    messages: list[TaskMessage] = []
    before = set_publisher(messages.append)
    yield messages
    set_publisher(before)


def forgotten(shop: Shop) -> tuple[list[str], list[str]]:
    """Ids of requests and events whose messages were lost a minute ago."""
    requests = [shop.wants(shop.user()) for _ in range(5)]
    shop.buys(shop.user())
    news = shop.events("payment_intent.created")
    shop.receive(*news)
    shop.scalar("UPDATE stripe_requests SET created_at = created_at - interval '1 minute' RETURNING 1")
    shop.scalar("UPDATE stripe_events SET received_at = received_at - interval '1 minute' RETURNING 1")
    return [str(request.id) for request in requests], [event["id"] for event in news]


class TestSweep:
    def test_it_enqueues_what_was_forgotten(self, shop: Shop, enqueued: list[TaskMessage]):
        requests, news = forgotten(shop)
        billing.sweep()
        asked = [message.ids["request_id"] for message in enqueued if message.task is TaskName.STRIPE_REQUEST]
        told = [message.ids["event_id"] for message in enqueued if message.task is TaskName.HANDLE_STRIPE_EVENT]
        assert (sorted(asked), told) == (sorted(requests), news)
        assert {message.queue for message in enqueued} == {QueueName.BILLING}

    def test_many_sweeps_at_once_enqueue_once(self, shop: Shop, enqueued: list[TaskMessage]):
        forgotten(shop)
        at_once([billing.sweep] * 4)
        assert set(Counter(str(message.ids) for message in enqueued).values()) == {1}

    def test_what_is_young_or_over_is_left_alone(self, shop: Shop, enqueued: list[TaskMessage]):
        shop.wants(shop.user())
        shop.perform(shop.wants(shop.user()))
        billing.sweep()
        assert enqueued == []


class TestTheEndOfAGrace:
    def test_comes_with_the_sweep_without_an_event(self, shop: Shop, enqueued: list[TaskMessage]):
        user = shop.user()
        shop.perform(shop.wants_plan(user, card="pm_card_visa"))
        shop.scalar("UPDATE subscriptions SET status = 'past_due', grants_until = now() RETURNING 1")
        billing.sweep()
        assert shop.fresh(user).subscription_tier is Tier.FREE

    def test_is_not_kept_back_by_what_fails_beside_it(self, shop: Shop, enqueued: list[TaskMessage], monkeypatch):
        user = shop.user()
        shop.perform(shop.wants_plan(user, card="pm_card_visa"))
        shop.scalar("UPDATE subscriptions SET status = 'past_due', grants_until = now() RETURNING 1")
        monkeypatch.setattr(billing, "_enqueue", lambda session: session.execute(text("SELECT 1 / 0")))
        with pytest.raises(ExceptionGroup):
            billing.sweep()
        assert shop.fresh(user).subscription_tier is Tier.FREE
