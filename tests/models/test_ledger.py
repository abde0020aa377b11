"""The ledger keeps its promises through any story, and notices each of them that somebody breaks."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
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

from models.credit import CreditTransaction, CreditType
from models.errors import InsufficientCredits
from models.purchase import Purchase
from models.rules.billing import share
from models.services import credits, purchases, refunds
from models.services.waiting import NotYet
from tests import factories
from tests.factories import billing

CREDITS = st.decimals(min_value="0.01", max_value=150, places=2)


class Story(RuleBasedStateMachine):
    """One user buys, runs, is refunded and disputes; Stripe's news come late, twice and in any order.

    What must come out is reckoned from Stripe's side and from the runs alone.
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
        assert credits.balance(self.session, self.user.id).balance == expected
        self.session.close()
        self.everything.rollback()
        self.connection.close()

    def left_of(self, row: Purchase) -> Decimal:
        """What a purchase is worth in the end, by Stripe's side alone."""
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
        if credits.settle(self.session, run, charged):
            self.spent += charged
            done = "UPDATE workflow_executions SET status = 'success', finished_at = now(), credits_charged = :charged"
            self.session.execute(text(f"{done} WHERE id = :id"), {"id": run, "charged": charged})

    @rule(amount=CREDITS, key=st.integers(1, 3))
    def gift(self, amount: Decimal, key: int) -> None:
        before = credits.balance(self.session, self.user.id).balance
        try:
            credits.grant(self.session, self.user.id, amount, key=f"gift:{key}", reason="A gift", source="gift")
        except credits.KeyReused:
            return
        self.granted_otherwise += credits.balance(self.session, self.user.id).balance - before

    @invariant()
    def keeps_its_promises(self) -> None:
        assert credits.violations(self.session) == []


def test_any_story_leaves_it_whole(engine: Engine) -> None:
    Story.engine = engine
    patient = settings(
        max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(Story, settings=patient)


@pytest.fixture
def books(session: Session) -> dict[str, Any]:
    """A user with a purchase, half of it refunded, a run that was charged and one that goes on."""
    user = billing.customer(session, credits=10)
    bought = billing.purchase(session, user, paid=True)
    refunds.sync_refund(session, refund := billing.refund(bought, 333))
    workflow = factories.workflow(session, user)
    done = factories.execution(session, workflow, cap=5, credits_charged=Decimal(3))
    credits.settle(session, done.id, Decimal(3))
    session.execute(text("UPDATE workflow_executions SET status = 'success', finished_at = now()"))
    running = factories.execution(session, workflow, cap=2)
    names = {"user": user.id, "purchase": bought.id, "run": done.id, "open": running.id}
    assert credits.violations(session) == []
    return {**names, "intent": f"pi:{bought.payment_intent_id}", "refund": f"re:{refund['id']}"}


_FORGE = (
    "INSERT INTO credit_transactions (user_id, version, key, type, amount, balance_after, reason, source, purchase_id)"
)
_PAY_OUT = (
    "UPDATE credits SET balance = balance + 7, version = version + 1 WHERE user_id = :user; "
    f"{_FORGE} SELECT user_id, version, %s, 7, balance, 'x', %s FROM credits WHERE user_id = :user"
)
_TAIL = "(SELECT max(version) FROM credit_transactions WHERE user_id = :user)"

CORRUPTIONS: dict[str, tuple[str, set[str]]] = {
    "a balance that was changed": (
        "UPDATE credits SET balance = balance + 1 WHERE user_id = :user",
        {"balance_is_sum_of_transactions"},
    ),
    "a hold that the wallet forgot": (
        "UPDATE credits SET held = 0 WHERE user_id = :user",
        {"held_is_sum_of_open_holds"},
    ),
    "an amount that was changed": (
        "UPDATE credit_transactions SET amount = amount + 1 WHERE key = :intent",
        {"balance_is_sum_of_transactions", "balance_after_is_running_sum", "paid_purchase_has_its_grant"},
    ),
    "a transaction that was deleted": (
        "DELETE FROM credit_transactions WHERE key = :refund",
        {"version_counts_transactions", "history_has_no_gap", "taken_back_as_recorded"},
    ),
    "a last transaction that was deleted, and the balance set right": (
        f"UPDATE credits SET balance = balance + 3 WHERE user_id = :user; "
        f"DELETE FROM credit_transactions WHERE user_id = :user AND version = {_TAIL}",
        {"version_counts_transactions", "captured_hold_has_its_debit"},
    ),
    "a last transaction that was deleted without any other trace": (
        f"UPDATE credits SET balance = balance + 3, version = version - 1 WHERE user_id = :user; "
        f"DELETE FROM credit_transactions WHERE user_id = :user AND version = {_TAIL}",
        {"captured_hold_has_its_debit"},
    ),
    "a hold that was captured for less": (
        "UPDATE credit_holds SET captured = 1 WHERE execution_id = :run",
        {"captured_hold_has_its_debit", "captured_is_what_was_charged", "debit_has_its_captured_hold"},
    ),
    "a hold that was opened again": (
        "UPDATE credit_holds SET status = 'held', captured = 0, settled_at = NULL WHERE execution_id = :run",
        {"hold_is_open_while_running", "held_is_sum_of_open_holds", "debit_has_its_captured_hold"},
    ),
    "a purchase that was never paid": (
        "UPDATE purchases SET status = 'failed', paid_at = NULL, credits_taken = 0 WHERE id = :purchase",
        {"grant_has_its_paid_purchase", "taken_back_as_recorded"},
    ),
    "a purchase that was never granted": (
        "DELETE FROM credit_transactions WHERE key = :intent",
        {"paid_purchase_has_its_grant", "version_counts_transactions", "taken_back_within_grant"},
    ),
    "a grant under another key": (
        _PAY_OUT % ("'pi:none', 'credit'", "'purchase', NULL"),
        {"grant_has_its_paid_purchase"},
    ),
    "a second grant for one purchase": (
        _PAY_OUT % ("'pi:twin', 'credit'", "'purchase', :purchase"),
        {"purchase_is_granted_once", "grant_has_its_paid_purchase"},
    ),
    "a restitution that nobody asked for": (
        _PAY_OUT % ("'re:none:failed', 'credit'", "'refund', :purchase"),
        {"taken_back_as_recorded", "taken_back_for_a_known_reason"},
    ),
    "a refund that counts for nothing": (
        "UPDATE refunds SET counted_cents = 0 WHERE purchase_id = :purchase",
        {"reversal_counts_while_it_stands", "taken_back_is_the_share_returned"},
    ),
    "a refund that was taken for more than it is": (
        "UPDATE purchases SET credits_taken = 100 WHERE id = :purchase",
        {"taken_back_as_recorded", "taken_back_is_the_share_returned"},
    ),
    "a cap that was raised beyond its hold": (
        "UPDATE workflow_executions SET credits_cap = credits_cap + 1 WHERE id = :open",
        {"hold_is_the_cap"},
    ),
    "a node that nobody was charged for": (
        "INSERT INTO node_executions (execution_id, node_id, status, credits) VALUES (:run, 'n', 'success', 4)",
        {"charged_covers_the_nodes"},
    ),
    "a debit without its hold": (
        "DELETE FROM credit_holds WHERE execution_id = :run",
        {"debit_has_its_captured_hold"},
    ),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_it_notices(session: Session, books: dict[str, Any], name: str) -> None:
    statements, expected = CORRUPTIONS[name]
    session.execute(text("SET LOCAL session_replication_role = replica"))  # past every trigger and foreign key
    for statement in statements.split("; "):
        session.execute(text(statement), books)
    assert expected <= {violation.invariant for violation in credits.violations(session)}


def test_it_notices_a_lost_wallet(session: Session) -> None:
    user = factories.user(session, credits=0)
    session.execute(text("DELETE FROM credits WHERE user_id = :user"), {"user": user.id})
    assert [(v.invariant, v.subject) for v in credits.violations(session)] == [("user_has_a_wallet", user.id)]


class TestTheSameKey:
    @pytest.mark.parametrize("move", [credits.claw_back, credits.restore])
    def test_moves_credits_once_and_for_one_thing_alone(self, session: Session, move: Any) -> None:
        paid = billing.purchase(session, paid=True)
        asked = {"key": "re:x", "reason": "A refund", "source": "refund", "purchase_id": paid.id}
        first = move(session, paid.user_id, Decimal(7), **asked)
        assert move(session, paid.user_id, Decimal(7), **asked) is first
        with pytest.raises(credits.KeyReused):
            move(session, paid.user_id, Decimal(8), **asked)
        other = credits.restore if move is credits.claw_back else credits.claw_back
        with pytest.raises(credits.KeyReused):
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
        with pytest.raises(credits.KeyReused):
            credits.grant(
                session,
                paid.user_id,
                Decimal(100),
                key=f"pi:{paid.payment_intent_id}",
                reason="Again",
                source="purchase",
                purchase_id=other.id,
            )
