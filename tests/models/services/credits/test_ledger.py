"""The ledger keeps its invariants through random stories, and detects each violation."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.errors import InsufficientCredits, NotYet
from models.rules.stripe.billing import share
from models.services.credits import ledger
from models.services.stripe import purchases, refunds
from models.tables import CreditTransaction, CreditType, Purchase
from tests.support import factories
from tests.support.factories import billing

CREDITS = st.decimals(min_value="0.01", max_value=150, places=2)


class Story(RuleBasedStateMachine):
    """One user buys, runs, is refunded and disputes; Stripe's events come late, twice and in any order.

    The expected result is computed from Stripe's side and from the runs only.
    """

    engine: ClassVar[Engine]
    payments, refunded, disputed, runs = (Bundle(name) for name in ("payments", "refunded", "disputed", "runs"))

    def __init__(self) -> None:
        super().__init__()
        self.connection = self.engine.connect()
        self.everything = self.connection.begin()
        self.session = Session(self.connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        self.user = billing.customer(self.session, credits=20)
        self.workflow = factories.workflow(self.session, self.user)
        self.rows: dict[str, Purchase] = {}
        self.stripe: dict[str, dict[str, Any]] = {}  # everything that Stripe has, by its id, as it is now
        self.granted_otherwise, self.spent = Decimal(20), Decimal(0)

    def teardown(self) -> None:
        for _ in range(2):  # all the news at last, and all of it again
            for thing in sorted(self.stripe, key=lambda name: name.startswith("pi_"), reverse=True):
                self.hear(thing)
        self.keeps_its_promises()
        expected = self.granted_otherwise - self.spent + sum(self.left_of(row) for row in self.rows.values())
        assert ledger.balance(self.session, self.user.id).balance == expected
        self.session.close()
        self.everything.rollback()
        self.connection.close()

    def left_of(self, row: Purchase) -> Decimal:
        """The final value of a purchase, from Stripe's side only."""
        intent = next(thing for name, thing in self.stripe.items() if self.rows.get(name) is row)
        if intent["status"] != "succeeded":
            return Decimal(0)
        away = sum(
            thing["amount"]
            for thing in self.stripe.values()
            if thing.get("payment_intent") == intent["id"]
            and thing["status"] in ("succeeded", "needs_response", "lost")
        )
        return row.granted - share(row.granted, away, row.amount_cents)

    def hear(self, name: str) -> None:
        """One event about something at Stripe is handled."""
        thing = self.stripe[name]
        sync: dict[str, Callable[..., Any]] = {
            "payment_intent": purchases.sync_intent,
            "refund": refunds.sync_refund,
            "dispute": refunds.sync_dispute,
        }
        try:
            sync[thing["object"]](self.session, thing)
        except NotYet:
            assert thing["object"] != "payment_intent"

    @rule(target=payments, package=st.sampled_from(["pack_100", "pack_500"]))
    def buy(self, package: str) -> Any:
        try:
            row, _ = purchases.start(self.session, self.user, package_id=package)
        except purchases.PaymentsFrozen:
            return multiple()
        intent = billing.intent(self.session, row, "processing")
        self.rows[intent["id"]] = row
        self.stripe[intent["id"]] = intent
        return intent["id"]

    @rule(payment=payments)
    def pay(self, payment: str) -> None:
        intent = self.stripe[payment]
        self.stripe[payment] = intent | {"status": "succeeded", "amount_received": intent["amount"]}

    @rule(target=refunded, payment=payments, part=st.integers(1, 100))
    def refund(self, payment: str, part: int) -> Any:
        intent = self.stripe[payment]
        before = sum(
            t["amount"] for t in self.stripe.values() if t["object"] == "refund" and t["payment_intent"] == payment
        )
        amount = min(intent["amount"] * part // 100, intent["amount"] - before)
        if intent["status"] != "succeeded" or amount <= 0:
            return multiple()
        refund = billing.refund(self.rows[payment], amount, payment_intent=payment)
        self.stripe[refund["id"]] = refund
        return refund["id"]

    @rule(refund=refunded)
    def fail_the_refund(self, refund: str) -> None:
        self.stripe[refund] = self.stripe[refund] | {"status": "failed"}

    @rule(target=disputed, payment=payments)
    def dispute(self, payment: str) -> Any:
        if self.stripe[payment]["status"] != "succeeded":
            return multiple()
        dispute = billing.dispute(self.rows[payment], "warning_needs_response", payment_intent=payment)
        self.stripe[dispute["id"]] = dispute
        return dispute["id"]

    @rule(dispute=disputed, status=st.sampled_from(["needs_response", "won", "lost", "warning_closed"]))
    def decide(self, dispute: str, status: str) -> None:
        self.stripe[dispute] = self.stripe[dispute] | {"status": status}

    @precondition(lambda self: self.stripe)
    @rule(data=st.data())
    def news(self, data: st.DataObject) -> None:
        self.hear(data.draw(st.sampled_from(sorted(self.stripe))))

    @rule(target=runs, cap=CREDITS)
    def run(self, cap: Decimal) -> Any:
        try:
            with self.session.begin_nested():
                return factories.execution(self.session, self.workflow, cap=cap).id
        except InsufficientCredits:
            return multiple()

    @rule(run=runs, part=st.integers(0, 100))
    def finish(self, run: Any, part: int) -> None:
        execution = self.session.get_one(factories.Execution, run)
        charged = (execution.credits_cap * part / 100).quantize(Decimal("0.01"))
        if ledger.settle(self.session, run, charged):
            self.spent += charged
            done = "UPDATE workflow_executions SET status = 'failed', finished_at = now(), credits_charged = :charged"
            self.session.execute(text(f"{done} WHERE id = :id"), {"id": run, "charged": charged})

    @rule(amount=CREDITS, key=st.integers(1, 3))
    def gift(self, amount: Decimal, key: int) -> None:
        before = ledger.balance(self.session, self.user.id).balance
        try:
            ledger.grant(self.session, self.user.id, amount, key=f"gift:{key}", reason="A gift", source="gift")
        except ledger.TransactionKeyReused:
            return
        self.granted_otherwise += ledger.balance(self.session, self.user.id).balance - before

    @invariant()
    def keeps_its_promises(self) -> None:
        assert ledger.violations(self.session) == []


def test_any_story_leaves_it_whole(engine: Engine) -> None:
    Story.engine = engine
    patient = settings(max_examples=12, stateful_step_count=25, database=None)
    run_state_machine_as_test(Story, settings=patient)


class TestTheSameKey:
    @pytest.mark.parametrize("move", [ledger.claw_back, ledger.grant])
    def test_moves_credits_once_and_for_one_cause_only(self, session: Session, move: Any) -> None:
        paid = billing.purchase(session, paid=True)
        asked = {"key": "re:x", "reason": "A refund", "source": "refund", "purchase_id": paid.id}
        first = move(session, paid.user_id, Decimal(7), **asked)
        assert move(session, paid.user_id, Decimal(7), **asked) is first
        with pytest.raises(ledger.TransactionKeyReused):
            move(session, paid.user_id, Decimal(8), **asked)
        other = ledger.grant if move is ledger.claw_back else ledger.claw_back
        with pytest.raises(ledger.TransactionKeyReused):
            other(session, paid.user_id, Decimal(7), **asked)

    def test_is_held_to_by_the_database_whatever_the_code_does(self, session: Session) -> None:
        """Wallets are locked one by one: for two users at once, only the unique key stands between them."""
        users = [factories.user(session, credits=0) for _ in range(2)]
        moves = [
            CreditTransaction(
                user_id=user.id,
                version=1,
                key="gift",
                type=CreditType.CREDIT,
                amount=Decimal(1),
                balance_after=Decimal(1),
                reason="A gift",
                source="gift",
            )
            for user in users
        ]
        session.add_all(moves)
        with pytest.raises(IntegrityError, match="uq_credit_transactions_key"):
            session.flush()

    def test_of_a_purchase_grants_for_that_purchase_alone(self, session: Session) -> None:
        paid, other = billing.purchase(session, paid=True), billing.purchase(session)
        with pytest.raises(ledger.TransactionKeyReused):
            ledger.grant(
                session,
                paid.user_id,
                Decimal(100),
                key=f"pi:{paid.payment_intent_id}",
                reason="Again",
                source="purchase",
                purchase_id=other.id,
            )
