"""Refunds and disputes have the same result for any order and concurrency of their events."""

import itertools
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import NotYet
from models.services.credits import ledger
from models.services.stripe import purchases, refunds
from models.tables import Purchase
from tests.models.services.stripe.test_refunds import balance
from tests.support.database.concurrency import at_once
from tests.support.factories import billing
from tests.support.thorough import sample


@pytest.mark.thorough
class TestAnyOrder:
    """Whoever handles an event reads the object as it is by then, so that only the order of the objects varies."""

    @pytest.mark.parametrize(
        ("first", "second", "dispute", "left"),
        [
            ("succeeded", "succeeded", "won", "33.33"),
            ("succeeded", "failed", "won", "66.67"),
            ("succeeded", "failed", "lost", "0"),
            ("failed", "failed", "needs_response", "0"),
            ("succeeded", "pending", "warning_closed", "66.67"),
        ],
    )
    def test_of_a_short_history_with_duplicates_ends_the_same(
        self, session: Session, first: str, second: str, dispute: str, left: str
    ) -> None:
        user = billing.customer(session)
        orders = sample(list(itertools.permutations(range(4))), 8)
        rows = [billing.purchase(session, user) for _ in orders]  # nothing can be bought while a dispute is open
        for order, row in zip(orders, rows, strict=True):
            news = history(session, row, first, second, dispute)
            before = balance(session, row)
            deliver(news, [*order, *order[:2]])
            assert balance(session, row) - before == Decimal(left), order
        assert ledger.violations(session) == []

    def test_of_every_step_of_a_history_with_duplicates_ends_the_same(self, session: Session) -> None:
        """The world goes on between deliveries: each event may be handled at any time after it happened."""
        stories = sorted({told(order) for order in itertools.permutations(range(len(STEPS)))})
        for story in sample(stories, 12):
            row = billing.purchase(session, billing.customer(session))  # one wallet for all would be ever slower
            before = balance(session, row)
            world = World(session, row)
            for name, time in story:
                while world.time < time:
                    world.go_on()
                world.handle(name)
            assert balance(session, row) - before == Decimal("66.67"), story
        assert ledger.violations(session) == []


def history(session: Session, row: Purchase, first: str, second: str, dispute: str) -> Sequence[Callable[[], Any]]:
    intent = billing.intent(session, row)
    one, two = billing.refund(row, 333, first), billing.refund(row, 333, second)
    three = billing.dispute(row, dispute)
    return (
        lambda: purchases.sync_intent(session, intent),
        lambda: refunds.sync_refund(session, one),
        lambda: refunds.sync_refund(session, two),
        lambda: refunds.sync_dispute(session, three),
    )


def deliver(news: Sequence[Callable[[], Any]], order: Sequence[int]) -> None:
    """Handle events in an order; those that come too early come again."""
    waiting = list(order)
    while waiting:
        event = waiting.pop(0)
        try:
            news[event]()
        except NotYet:
            waiting.append(event)


STEPS = ("intent", "intent", "refund", "dispute", "dispute")  # what changes at each step of `World`


def told(order: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """The events handled in this order, and the number of world steps before each.

    An event's object is read when the event is handled, so many orders are equivalent.
    """
    events = [*order, *order[:2]]
    return tuple((STEPS[event], max(events[: number + 1]) + 1) for number, event in enumerate(events))


class World:
    """Stripe's side of one purchase: it is paid, a third is refunded, it is disputed, and the dispute is won."""

    def __init__(self, session: Session, row: Purchase) -> None:
        self.session, self.time = session, 0
        processing, paid = billing.intent(session, row, "processing"), billing.intent(session, row)
        refund, dispute = billing.refund(row, 333), billing.dispute(row)
        won = dispute | {"status": "won"}
        self.steps = tuple(zip(STEPS, (processing, paid, refund, dispute, won), strict=True))
        self.now: dict[str, Any] = {}

    def go_on(self) -> None:
        """The next thing happens."""
        name, thing = self.steps[self.time]
        self.now[name] = thing
        self.time += 1

    def handle(self, name: str) -> None:
        """Read what an event is about as it is now, and follow it; whatever it needs first is read as well."""
        if name != "intent" and not purchases.knows(self.session, self.now["intent"]["id"]):
            purchases.sync_intent(self.session, self.now["intent"])
        sync = {"intent": purchases.sync_intent, "refund": refunds.sync_refund, "dispute": refunds.sync_dispute}
        sync[name](self.session, self.now[name])


@pytest.mark.usefixtures("committed_database")
class TestConcurrently:
    def test_refunds_and_disputes_of_one_payment_take_it_once(self) -> None:
        with session_scope() as session:
            paid = billing.purchase(session, paid=True)
            parts = [billing.refund(paid, 333) for _ in range(3)]
            dispute = billing.dispute(paid)

        def sync(number: int) -> None:
            with session_scope() as session:
                if number % 4 == 3:
                    refunds.sync_dispute(session, dispute)
                else:
                    refunds.sync_refund(session, parts[number % 4])

        at_once(48, sync)
        with session_scope() as session:
            assert balance(session, paid) == 0
            refunds.sync_dispute(session, dispute | {"status": "won"})
            refunds.sync_refund(session, parts[0] | {"status": "failed"})
            assert balance(session, paid) == Decimal("33.33")
            assert ledger.violations(session) == []
