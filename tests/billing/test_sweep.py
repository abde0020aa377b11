from collections import Counter
from collections.abc import Iterator

import pytest

from tasks import billing
from tasks.queue import Doorbell, QueueName, TaskName, publish_through
from tests.billing.shop import Shop, at_once


@pytest.fixture
def rung(shop: Shop) -> Iterator[list[Doorbell]]:
    """The doorbells that were rung, in their order."""
    bells: list[Doorbell] = []
    before = publish_through(bells.append)
    yield bells
    publish_through(before)


def forgotten(shop: Shop) -> tuple[list[str], list[str]]:
    """Ids of requests and of events whose bells were lost a minute ago."""
    requests = [shop.wants(shop.user()) for _ in range(5)]
    shop.buys(shop.user())
    news = shop.events("payment_intent.created")
    shop.receive(*news)
    shop.scalar("UPDATE stripe_requests SET created_at = created_at - interval '1 minute' RETURNING 1")
    shop.scalar("UPDATE stripe_events SET received_at = received_at - interval '1 minute' RETURNING 1")
    return [str(request.id) for request in requests], [event["id"] for event in news]


class TestSweep:
    def test_it_rings_for_what_was_forgotten(self, shop: Shop, rung: list[Doorbell]):
        requests, news = forgotten(shop)
        billing.sweep()
        asked = [bell.ids["request_id"] for bell in rung if bell.task is TaskName.STRIPE_REQUEST]
        told = [bell.ids["event_id"] for bell in rung if bell.task is TaskName.HANDLE_STRIPE_EVENT]
        assert (sorted(asked), told) == (sorted(requests), news)
        assert {bell.queue for bell in rung} == {QueueName.BILLING}

    def test_many_sweeps_at_once_ring_once(self, shop: Shop, rung: list[Doorbell]):
        forgotten(shop)
        at_once([billing.sweep] * 4)
        assert set(Counter(str(bell.ids) for bell in rung).values()) == {1}

    def test_what_is_young_or_over_is_left_alone(self, shop: Shop, rung: list[Doorbell]):
        shop.wants(shop.user())
        shop.perform(shop.wants(shop.user()))
        billing.sweep()
        assert rung == []
