"""The ledger keeps its promises when several threads, each with a connection of its own, do things to it at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import Conflict, InsufficientCredits, NotYet
from models.services.accounts import administration
from models.services.credits import ledger
from models.services.stripe import purchases, refunds, stripe_events
from models.services.workflows import usage
from models.tables import User, Workflow
from tests.support import factories
from tests.support.factories import billing

HANDS = 5
GIFT, SHARED = Decimal(7), Decimal(5)
AMOUNTS = st.sampled_from([Decimal("0.01"), Decimal(7), Decimal(20), Decimal(45)])
WHOSE, WHICH = st.integers(0, 1), st.integers(0, 3)
# What one hand does: a word, whose wallet, which of a few things, and how many credits.
ACTIONS = st.tuples(st.sampled_from(["run", "settle", "raise", "grant", "use", "take", "hear"]), WHOSE, WHICH, AMOUNTS)
Action = tuple[str, int, int, Decimal]
Outcome = tuple[int, Decimal]  # whose balance changed, and by how much


class ManyHands(RuleBasedStateMachine):
    """Two users. After each handful of deeds the books must be whole, and say what the deeds said of themselves."""

    @initialize()
    def open_the_books(self) -> None:
        self.pool = ThreadPoolExecutor(HANDS)
        self.expected = [Decimal(50), Decimal(50)]
        self.runs: list[list[UUID]] = [[], []]
        self.news: list[dict[str, Any]] = []
        with session_scope() as session:
            users = [billing.customer(session, credits=50) for _ in range(2)]
            self.users = [user.id for user in users]
            self.workflows = [factories.workflow(session, user).id for user in users]
            for user in users:
                self.news += self.story_of_a_purchase(session, user)
        self.gifts: list[set[str]] = [set(), set()]
        self.shared: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            self.pool.shutdown()

    def story_of_a_purchase(self, session: Session, user: User) -> list[dict[str, Any]]:
        """A purchase that is paid and then half refunded, synced by any worker in any order."""
        row, _ = purchases.start(session, user, package_id="pack_100")
        intent = billing.intent(session, row)
        return [intent, billing.refund(row, 500, payment_intent=intent["id"])]

    @rule(entry=ACTIONS)
    def the_same_by_all(self, entry: Action) -> None:
        self.at_once([entry] * HANDS)

    @rule(entries=st.lists(ACTIONS, min_size=2, max_size=HANDS))
    def different_ones(self, entries: list[Action]) -> None:
        self.at_once(entries)

    def at_once(self, entries: list[Action]) -> None:
        start = Barrier(len(entries))
        before = [list(runs) for runs in self.runs]

        def act(entry: Action) -> Outcome:
            start.wait(10)
            return self.do(entry, before)

        for whose, change in self.pool.map(act, entries):
            self.expected[whose] += change
        self.look()

    @rule(which=WHICH)
    def one_key_for_both(self, which: int) -> None:
        """Two wallets, one key: no lock stands between them, only the key itself."""
        key, start = f"both:{self.users[0]}:{which}", Barrier(2)
        self.shared.add(key)

        def give(whose: int) -> None:
            start.wait(10)
            with suppress(Conflict, IntegrityError), session_scope() as session:
                ledger.grant(session, self.users[whose], SHARED, key=key, reason="A gift", source="shared")

        list(self.pool.map(give, (0, 1)))
        self.look()

    def do(self, entry: Action, before: list[list[UUID]]) -> Outcome:
        """One deed in a transaction of its own; what it changed, by its own account."""
        word, whose, which, amount = entry
        run = before[whose][which % len(before[whose])] if before[whose] else None
        if run is None and word in ("settle", "raise"):
            word = "run"
        try:
            with session_scope() as session:
                acts: dict[str, Callable[[], Decimal]] = {
                    "run": lambda: self.run(session, whose, amount),
                    "settle": lambda: self.settle(session, run, amount),
                    "raise": lambda: self.raise_hold(session, whose, run, amount),
                    "grant": lambda: self.grant(session, whose, which),
                    "use": lambda: -usage.track(
                        session, session.get_one(User, self.users[whose]), workflow_id=str(self.workflows[whose]),
                        resource_type="workflow_execution", amount=amount,
                    ).credits_charged,
                    "take": lambda: self.take(session, whose, amount),
                    "hear": lambda: self.hear(session, whose, which),
                }  # fmt: skip
                return whose, acts[word]()
        except (InsufficientCredits, NotYet):
            return whose, Decimal(0)

    def run(self, session: Session, whose: int, amount: Decimal) -> Decimal:
        workflow = session.get_one(Workflow, self.workflows[whose])
        execution = factories.execution(session, workflow, cap=amount)
        session.flush()
        self.runs[whose].append(execution.id)  # one that is rolled back has no hold, and nothing to settle
        return Decimal(0)

    def settle(self, session: Session, run: UUID | None, amount: Decimal) -> Decimal:
        cap = session.scalar(text("SELECT credits_cap FROM workflow_executions WHERE id = :id FOR UPDATE"), {"id": run})
        if cap is None or run is None:
            return Decimal(0)
        charged = min(amount, cap)
        ended = ledger.settle(session, run, charged)
        session.execute(
            text("""
                UPDATE workflow_executions SET status = 'failed', finished_at = now(), credits_charged = :charged
                 WHERE id = :id AND finished_at IS NULL
            """),
            {"id": run, "charged": charged},
        )
        return -charged if ended else Decimal(0)

    def raise_hold(self, session: Session, whose: int, run: UUID | None, amount: Decimal) -> Decimal:
        row = session.execute(
            text("SELECT credits_cap, finished_at FROM workflow_executions WHERE id = :id FOR UPDATE"), {"id": run}
        ).one_or_none()
        if row is not None and run is not None and row.finished_at is None:
            cap = row.credits_cap + amount
            ledger.raise_hold(session, self.users[whose], cap, run)
            session.execute(
                text("UPDATE workflow_executions SET credits_cap = :c WHERE id = :id"), {"c": cap, "id": run}
            )
        return Decimal(0)

    def grant(self, session: Session, whose: int, which: int) -> Decimal:
        key = f"gift:{self.users[whose]}:{which}"
        self.gifts[whose].add(key)
        ledger.grant(session, self.users[whose], GIFT, key=key, reason="A gift", source="gift")
        return Decimal(0)

    def take(self, session: Session, whose: int, amount: Decimal) -> Decimal:
        """An administrator takes what is free."""
        admin, told = session.get_one(User, self.users[0]), {"reason": "A test", "address": None, "key": None}
        administration.adjust(session, admin, self.users[whose], amount=-amount, **told)
        return -amount

    def hear(self, session: Session, whose: int, which: int) -> Decimal:
        """News of a purchase are handled, under the lock that workers take."""
        thing = self.news[2 * whose + which % 2]
        stripe_events.lock(session, thing["id"])
        sync = purchases.sync_intent if thing["object"] == "payment_intent" else refunds.sync_refund
        sync(session, thing)
        return Decimal(0)

    def look(self) -> None:
        """The books are whole; everything was done once, and nothing was spent that was not there."""
        with session_scope() as session:
            assert ledger.violations(session) == []
            assert sum(came_from(session, user, "shared") for user in self.users) == SHARED * len(self.shared)
            for whose, user in enumerate(self.users):
                assert came_from(session, user, "gift") == GIFT * len(self.gifts[whose])
                told = came_from(session, user, "execution", "usage", "adjustment", "test")
                assert told == self.expected[whose]
                assert ledger.balance(session, user).available >= 0 or came_from(session, user, "refund")


def came_from(session: Session, user: UUID, *sources: str) -> Decimal:
    """The sum of a user's transactions of these kinds."""
    total = text("""
        SELECT coalesce(sum(CASE type WHEN 'credit' THEN amount ELSE -amount END), 0) FROM credit_transactions
         WHERE user_id = :user AND source = ANY(:sources)
    """)
    return Decimal(session.execute(total, {"user": user, "sources": list(sources)}).scalar_one())


@pytest.mark.usefixtures("committed_database")
def test_the_books_are_whole_whatever_happens_at_once() -> None:
    run_state_machine_as_test(
        ManyHands,
        settings=settings(
            max_examples=8,
            stateful_step_count=8,
            phases=[Phase.generate],  # a race does not become smaller by trying
            database=None,
        ),
    )
