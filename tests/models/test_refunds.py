"""Money that goes back takes its share of the credits along, once, whatever comes first and however often."""

import itertools
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.orm import Session

from models.db import session_scope
from models.purchase import Purchase
from models.rules.billing import DISPUTE_TAKES, DISPUTE_TAKES_NOT, share
from models.services import alerts, credits, invoices, purchases, refunds
from models.services.waiting import NotYet
from tests import factories
from tests.factories import billing
from tests.models.test_credits_concurrency import at_once


def balance(session: Session, purchase: Purchase) -> Decimal:
    return credits.balance(session, purchase.user_id).balance


def keys(session: Session, purchase: Purchase) -> list[str]:
    """What moved the user's credits, the oldest first."""
    return [move.key for move in reversed(credits.history(session, purchase.user_id))]


class TestTheShare:
    @pytest.mark.parametrize(
        ("cents", "credits_taken"), [(0, "0"), (999, "100"), (5000, "100"), (1, "0.10"), (333, "33.33"), (500, "50.05")]
    )
    def test_is_proportional_and_never_more_than_was_granted(self, cents: int, credits_taken: str) -> None:
        assert share(Decimal(100), cents, 999) == Decimal(credits_taken)

    def test_of_all_parts_together_is_the_whole(self, session: Session) -> None:
        paid = billing.purchase(session, package="pack_500", paid=True)
        for cents in (1, 998, 3000):
            refunds.sync_refund(session, billing.refund(paid, cents))
        assert balance(session, paid) == 0
        assert credits.violations(session) == []


class TestRefund:
    def test_takes_back_even_what_was_spent(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        user = session.get_one(factories.User, paid.user_id)
        run = factories.execution(session, factories.workflow(session, user), cap=80)
        refunds.sync_refund(session, billing.refund(paid))
        wallet = credits.balance(session, user.id)
        assert (wallet.balance, wallet.held, wallet.available) == (0, 80, -80)
        with pytest.raises(credits.InsufficientCredits):
            factories.execution(session, factories.workflow(session, user), cap=1)
        assert credits.settle(session, run.id, Decimal(80))
        assert balance(session, paid) == -80

    def test_twice_takes_once(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        refund = billing.refund(paid, 333)
        for _ in range(3):
            refunds.sync_refund(session, refund)
        assert balance(session, paid) == Decimal("66.67")
        assert keys(session, paid)[1:] == [f"re:{refund['id']}"]

    @pytest.mark.parametrize("status", ["pending", "requires_action", "failed", "canceled"])
    def test_that_did_not_succeed_takes_nothing(self, session: Session, status: str) -> None:
        paid = billing.purchase(session, paid=True)
        refunds.sync_refund(session, billing.refund(paid, status=status))
        assert balance(session, paid) == 100
        assert credits.violations(session) == []

    def test_that_fails_after_all_gives_back(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        refund = billing.refund(paid)
        for status in ("succeeded", "failed", "failed"):
            refunds.sync_refund(session, refund | {"status": status})
        assert balance(session, paid) == 100
        assert keys(session, paid)[1:] == [f"re:{refund['id']}", f"re:{refund['id']}:failed"]
        assert credits.violations(session) == []

    def test_before_the_payment_was_heard_of_is_taken_with_the_grant(self, session: Session) -> None:
        row = billing.purchase(session)
        purchases.sync_intent(session, billing.intent(session, row, "processing"))
        refund = billing.refund(row, 333)
        refunds.sync_refund(session, refund)
        assert keys(session, row) == []
        purchases.sync_intent(session, billing.intent(session, row))
        assert balance(session, row) == Decimal("66.67")
        assert credits.violations(session) == []

    def test_of_a_purchase_that_is_not_known_by_its_intent_waits(self, session: Session) -> None:
        row = billing.purchase(session)
        refund = billing.refund(row)
        with pytest.raises(NotYet):
            refunds.sync_refund(session, refund)
        intent = billing.intent(session, row)
        with pytest.raises(NotYet):
            refunds.sync_refund(session, refund, intent=intent)
        purchases.sync_intent(session, intent)
        assert refunds.sync_refund(session, refund, intent=intent) is not None
        assert balance(session, row) == 0

    def test_of_a_subscription_takes_nothing(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        user = session.get_one(factories.User, paid.user_id)
        of_invoice = billing.refund(paid, payment_intent="pi_of_an_invoice")
        with pytest.raises(NotYet):
            refunds.sync_refund(session, of_invoice)
        assert refunds.sync_refund(session, of_invoice, intent={"id": "pi_of_an_invoice", "metadata": {}}) is None
        paying = {"data": [{"payment": {"payment_intent": "pi_of_an_invoice"}}]}
        invoices.sync_invoice(session, billing.invoice(session, user, payments=paying))
        assert refunds.sync_refund(session, of_invoice) is None
        assert refunds.sync_refund(session, billing.refund(paid, payment_intent=None)) is None
        assert balance(session, paid) == 100

    @pytest.mark.parametrize(("before", "left"), [("pending", 100), ("succeeded", 0), ("failed", 100)])
    def test_with_an_unknown_status_leaves_things_as_they_are_and_calls_a_person(
        self, session: Session, before: str, left: int
    ) -> None:
        paid = billing.purchase(session, paid=True)
        refund = billing.refund(paid)
        for status in (before, "dreaming"):
            refunds.sync_refund(session, refund | {"status": status})
        assert balance(session, paid) == left
        assert [alert.kind for alert in alerts.list_open(session)] == ["unknown_status"]
        assert credits.violations(session) == []


class TestDispute:
    @pytest.mark.parametrize("status", sorted(DISPUTE_TAKES))
    def test_takes_while_the_money_is_away(self, session: Session, status: str) -> None:
        paid = billing.purchase(session, paid=True)
        refunds.sync_dispute(session, billing.dispute(paid, status))
        assert balance(session, paid) == 0

    @pytest.mark.parametrize("status", sorted(DISPUTE_TAKES_NOT))
    def test_takes_nothing_while_it_is_an_inquiry_or_was_won(self, session: Session, status: str) -> None:
        paid = billing.purchase(session, paid=True)
        refunds.sync_dispute(session, billing.dispute(paid, status))
        assert balance(session, paid) == 100

    @pytest.mark.parametrize(
        ("story", "left", "moves"),
        [
            ("warning_needs_response needs_response lost", 0, [""]),
            ("needs_response under_review won", 100, ["", ":won"]),
            ("needs_response lost appeal_under_review won", 100, ["", ":won"]),
            ("needs_response won needs_response lost", 0, ["", ":won", ":2"]),
            ("needs_response won lost won", 100, ["", ":won", ":2", ":won:2"]),
            ("warning_under_review warning_closed", 100, []),
        ],
    )
    def test_moves_credits_with_the_money(self, session: Session, story: str, left: int, moves: list[str]) -> None:
        paid = billing.purchase(session, paid=True)
        dispute = billing.dispute(paid)
        for status in story.split():
            for _ in range(2):
                refunds.sync_dispute(session, dispute | {"status": status})
        assert balance(session, paid) == left
        assert keys(session, paid)[1:] == [f"dp:{dispute['id']}{move}" for move in moves]
        assert credits.violations(session) == []

    def test_with_an_unknown_status_leaves_things_as_they_are_and_calls_a_person(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        dispute = billing.dispute(paid)
        refunds.sync_dispute(session, dispute)
        refunds.sync_dispute(session, dispute | {"status": "dreaming"})
        assert balance(session, paid) == 0
        assert [alert.kind for alert in alerts.list_open(session)] == ["unknown_status"]
        assert credits.violations(session) == []

    def test_over_another_amount_than_at_first_takes_the_difference(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        dispute = billing.dispute(paid, amount=333)
        for amount, left in ((333, "66.67"), (999, "0"), (500, "49.95")):
            refunds.sync_dispute(session, dispute | {"amount": amount})
            assert balance(session, paid) == Decimal(left)
            assert credits.violations(session) == []

    def test_and_refund_of_one_payment_never_take_it_twice(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        dispute, refund = billing.dispute(paid), billing.refund(paid)
        refunds.sync_refund(session, refund)
        refunds.sync_dispute(session, dispute)
        assert balance(session, paid) == 0
        refunds.sync_dispute(session, dispute | {"status": "won"})
        assert balance(session, paid) == 0
        refunds.sync_refund(session, refund | {"status": "failed"})
        assert balance(session, paid) == 100
        assert credits.violations(session) == []


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
        orders = list(itertools.permutations(range(4)))
        rows = [billing.purchase(session, user) for _ in orders]  # nothing can be bought while a dispute is open
        for order, row in zip(orders, rows, strict=True):
            news = history(session, row, first, second, dispute)
            before = balance(session, row)
            deliver(news, [*order, *order[:2]])
            assert balance(session, row) - before == Decimal(left), order
        assert credits.violations(session) == []

    def test_of_every_step_of_a_history_with_duplicates_ends_the_same(self, session: Session) -> None:
        """The world goes on between deliveries: each event may be handled at any time after it happened."""
        for order in itertools.permutations(range(5)):
            row = billing.purchase(session, billing.customer(session))  # one wallet for all would be ever slower
            before = balance(session, row)
            world = World(session, row)
            for event in order:
                while world.time <= event:
                    world.go_on()
                world.handle(event)
            for event in order[:2]:
                world.handle(event)
            assert balance(session, row) - before == Decimal("66.67"), order
        assert credits.violations(session) == []


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


class World:
    """Stripe's side of one purchase: it is paid, a third is refunded, it is disputed, and the dispute is won."""

    def __init__(self, session: Session, row: Purchase) -> None:
        self.session, self.time = session, 0
        processing, paid = billing.intent(session, row, "processing"), billing.intent(session, row)
        refund, dispute = billing.refund(row, 333), billing.dispute(row)
        won = dispute | {"status": "won"}
        self.steps = [
            ("intent", processing),
            ("intent", paid),
            ("refund", refund),
            ("dispute", dispute),
            ("dispute", won),
        ]
        self.now: dict[str, Any] = {}

    def go_on(self) -> None:
        """The next thing happens."""
        name, thing = self.steps[self.time]
        self.now[name] = thing
        self.time += 1

    def handle(self, event: int) -> None:
        """Read what an event is about as it is now, and follow it; whatever it needs first is read as well."""
        name = self.steps[event][0]
        if name != "intent" and not purchases.knows(self.session, self.now["intent"]["id"]):
            purchases.sync_intent(self.session, self.now["intent"])
        sync = {"intent": purchases.sync_intent, "refund": refunds.sync_refund, "dispute": refunds.sync_dispute}
        sync[name](self.session, self.now[name])


@pytest.mark.usefixtures("committed_database")
class TestInManyHands:
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
            assert credits.violations(session) == []
