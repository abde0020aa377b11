"""The ledger in one hand: grants, holds, settlements, history."""

from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.errors import Conflict, InsufficientCredits, NotFound
from models.services.credits import ledger
from models.tables import CreditHold, CreditTransaction, CreditType, Execution, ExecutionEvent, HoldStatus
from tests.support import factories


class TestGrant:
    def test_adds_to_the_balance_and_writes_history(self, session: Session) -> None:
        user = factories.user(session, credits=0)
        moved = ledger.grant(session, user.id, Decimal("10.50"), key="k1", reason="A gift", source="test")
        assert (moved.type, moved.amount, moved.balance_after, moved.version) == (
            CreditType.CREDIT,
            Decimal("10.50"),
            Decimal("10.50"),
            1,
        )
        assert ledger.balance(session, user.id).balance == Decimal("10.50")

    def test_of_the_same_key_moves_nothing_and_answers_the_first(self, session: Session) -> None:
        user = factories.user(session, credits=0)
        first = ledger.grant(session, user.id, Decimal(10), key="k1", reason="A gift", source="test")
        again = ledger.grant(session, user.id, Decimal(10), key="k1", reason="Another word", source="test")
        assert again.id == first.id
        assert ledger.balance(session, user.id).balance == 10

    def test_refuses_a_key_that_stands_for_something_else(self, session: Session) -> None:
        user, other = factories.user(session), factories.user(session)
        ledger.grant(session, user.id, Decimal(10), key="k1", reason="A gift", source="test")
        with pytest.raises(Conflict) as refusal:
            ledger.grant(session, other.id, Decimal(10), key="k1", reason="A gift", source="test")
        assert refusal.value.code == "key_reused"

    def test_needs_a_wallet(self, session: Session) -> None:
        with pytest.raises(NotFound):
            ledger.grant(session, uuid4(), Decimal(1), key="k1", reason="A gift", source="test")

    @pytest.mark.parametrize("amount", ["0", "-1"])
    def test_of_nothing_or_less_is_refused_by_the_database(self, session: Session, amount: str) -> None:
        user = factories.user(session)
        with pytest.raises(IntegrityError, match="amount_positive"):
            ledger.grant(session, user.id, Decimal(amount), key="k1", reason="A gift", source="test")


class TestHold:
    def test_takes_from_what_is_available_and_not_from_the_balance(self, session: Session) -> None:
        user = factories.user(session, credits=10)
        factories.execution(session, factories.workflow(session, user), cap="4.00")
        wallet = ledger.balance(session, user.id)
        assert (wallet.balance, wallet.held, wallet.available) == (10, 4, 6)

    def test_refuses_what_is_held_already(self, session: Session) -> None:
        user = factories.user(session, credits=10)
        workflow = factories.workflow(session, user)
        factories.execution(session, workflow, cap=7)
        with pytest.raises(InsufficientCredits) as refusal:
            factories.execution(session, workflow, cap="3.01")
        assert (refusal.value.needed, refusal.value.available) == (Decimal("3.01"), 3)

    def test_that_was_refused_leaves_nothing_to_a_caller_who_goes_on(self, session: Session) -> None:
        user = factories.user(session, credits=10)
        workflow = factories.workflow(session, user)
        with pytest.raises(InsufficientCredits):
            factories.execution(session, workflow, cap=11)
        assert ledger.balance(session, user.id).held == 0
        for table in (CreditHold, Execution, ExecutionEvent):
            assert session.scalars(select(table)).all() == []

    def test_takes_the_last_cent(self, session: Session) -> None:
        user = factories.user(session, credits=10)
        factories.execution(session, factories.workflow(session, user), cap=10)
        assert ledger.balance(session, user.id).available == 0


class TestSettle:
    def test_captures_what_was_charged_and_releases_the_rest(self, session: Session) -> None:
        user = factories.user(session, credits=10)
        run = factories.execution(session, factories.workflow(session, user), cap=4)
        assert ledger.settle(session, run.id, Decimal("1.20"))
        wallet = ledger.balance(session, user.id)
        assert (wallet.balance, wallet.held) == (Decimal("8.80"), 0)
        newest = ledger.history(session, user.id)[0]
        assert (newest.type, newest.amount, newest.execution_id) == (CreditType.DEBIT, Decimal("1.20"), run.id)
        assert factories.hold(session, run).status is HoldStatus.CAPTURED

    def test_of_nothing_releases_all_and_leaves_no_trace_in_history(self, session: Session) -> None:
        user = factories.user(session, credits=10)
        run = factories.execution(session, factories.workflow(session, user), cap=4)
        assert ledger.settle(session, run.id, Decimal(0))
        assert ledger.balance(session, user.id).available == 10
        assert [move.source for move in ledger.history(session, user.id)] == ["test"]
        assert factories.hold(session, run).status is HoldStatus.RELEASED

    def test_happens_once(self, session: Session) -> None:
        user = factories.user(session, credits=10)
        run = factories.execution(session, factories.workflow(session, user), cap=4)
        assert ledger.settle(session, run.id, Decimal(1))
        assert not ledger.settle(session, run.id, Decimal(2))
        assert ledger.balance(session, user.id).balance == 9

    def test_of_more_than_was_held_is_refused_by_the_database(self, session: Session) -> None:
        run = factories.execution(session, cap=4)
        with pytest.raises(IntegrityError, match="captured_within_amount"):
            ledger.settle(session, run.id, Decimal("4.01"))

    def test_of_an_unknown_run_changes_nothing(self, session: Session) -> None:
        assert not ledger.settle(session, uuid4(), Decimal(1))

    def test_of_many_numbers_every_wallets_history_without_gaps(self, session: Session) -> None:
        users = [factories.user(session, credits=100) for _ in range(3)]
        amounts = {}
        for place, user in enumerate(users):
            workflow = factories.workflow(session, user)
            for number in range(4):
                run = factories.execution(session, workflow, cap=5, credits_charged=Decimal(place + number))
                amounts[run.id] = run.credits_charged
        session.execute(text("UPDATE workflow_executions SET status = 'failed', finished_at = now()"))
        assert ledger.settle_many(session, amounts) == set(amounts)
        assert ledger.settle_many(session, amounts) == set()
        assert ledger.violations(session) == []
        assert ledger.balance(session, users[2].id).balance == 100 - (2 + 3 + 4 + 5)


def test_history_is_read_page_by_page_from_the_newest(session: Session) -> None:
    user = factories.user(session, credits=0)
    for number in range(1, 6):
        ledger.grant(session, user.id, Decimal(number), key=f"k{number}", reason="A gift", source="test")
    first = ledger.history(session, user.id, limit=2)
    assert [move.amount for move in first] == [5, 4]
    rest = ledger.history(session, user.id, limit=9, after=(first[-1].created_at, first[-1].id))
    assert [move.amount for move in rest] == [3, 2, 1]


class TestTheLedgersPast:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE credit_transactions SET amount = amount + 1",
            "DELETE FROM credit_transactions",
            "TRUNCATE credit_transactions",
        ],
    )
    def test_cannot_be_changed(self, session: Session, statement: str) -> None:
        factories.user(session, credits=5)
        with pytest.raises(IntegrityError, match="never changed"):
            session.execute(text(statement))

    def test_names_what_is_broken(self, session: Session) -> None:
        user = factories.user(session, credits=5)
        session.execute(text("UPDATE credits SET balance = 500, held = 3 WHERE user_id = :id"), {"id": user.id})
        broken = {(violation.invariant, violation.subject) for violation in ledger.violations(session)}
        assert broken == {("balance_is_sum_of_transactions", user.id), ("held_is_sum_of_open_holds", user.id)}

    def test_shows_a_gap(self, session: Session) -> None:
        user = factories.user(session, credits=5)
        session.add(
            CreditTransaction(
                user_id=user.id,
                version=3,
                key="k3",
                type=CreditType.CREDIT,
                amount=Decimal(1),
                balance_after=Decimal(7),
                reason="Out of nowhere",
                source="test",
            )
        )
        session.flush()
        broken = {violation.invariant for violation in ledger.violations(session)}
        assert {"history_has_no_gap", "balance_after_is_running_sum", "version_counts_transactions"} <= broken

    def test_shows_a_run_that_is_over_with_its_hold_still_open(self, session: Session) -> None:
        run = factories.execution(session, cap=2)
        session.execute(
            text("UPDATE workflow_executions SET status = 'failed', finished_at = now(), credits_charged = 1")
        )
        assert {(v.invariant, v.subject) for v in ledger.violations(session)} == {
            ("hold_is_open_while_running", run.id),
            ("captured_is_what_was_charged", run.id),
        }
