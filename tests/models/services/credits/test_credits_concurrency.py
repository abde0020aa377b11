"""The ledger in many hands: real threads, real commits."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from models.db import session_scope
from models.errors import InsufficientCredits
from models.services.credits import ledger
from models.services.executions import executions
from models.tables import Credit, User
from tests.support import factories
from tests.support.database.concurrency import at_once

pytestmark = pytest.mark.usefixtures("committed_database")


def test_a_hundred_runs_of_ten_credits_cannot_take_more_than_a_hundred() -> None:
    with session_scope() as session:
        user = factories.user(session, credits=100)
        workflow = factories.workflow(session, user, worst_case=10)

    def take(_: int) -> bool:
        try:
            with session_scope() as session:
                executions.submit(session, session.get_one(User, user.id), workflow.id)
        except InsufficientCredits:
            return False
        return True

    assert Counter(at_once(100, take)) == {True: 10, False: 90}
    with session_scope() as session:
        wallet = ledger.balance(session, user.id)
        assert (wallet.balance, wallet.held, wallet.available) == (100, 100, 0)


def test_each_hold_is_settled_once_however_many_try() -> None:
    with session_scope() as session:
        user = factories.user(session, credits=100)
        workflow = factories.workflow(session, user)
        runs = [factories.execution(session, workflow, cap=10) for _ in range(8)]

    def settle(number: int) -> bool:
        with session_scope() as session:
            return ledger.settle(session, runs[number // 8].id, Decimal(3))

    assert Counter(at_once(64, settle)) == {True: 8, False: 56}
    with session_scope() as session:
        wallet = ledger.balance(session, user.id)
        assert (wallet.balance, wallet.held) == (100 - 8 * 3, 0)
        assert [move.version for move in ledger.history(session, user.id)] == list(range(9, 0, -1))


def test_settling_many_runs_locks_wallets_in_ascending_order() -> None:
    with session_scope() as session:
        runs = [factories.execution(session, cap=10) for _ in range(8)]
    lowest, *others = sorted(run.user_id for run in runs)
    lock = select(Credit.user_id).with_for_update(nowait=True)

    def settle() -> int:
        with session_scope() as session:
            return len(ledger.settle_many(session, {run.id: Decimal(1) for run in runs}))

    with ThreadPoolExecutor(1) as pool:
        with session_scope() as session:
            session.execute(lock.where(Credit.user_id == lowest))
            settled = pool.submit(settle)
            while not session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                assert not settled.done()
            assert len(session.scalars(lock.where(Credit.user_id.in_(others))).all()) == len(others)
        assert settled.result(10) == len(runs)


def test_one_key_grants_once_however_many_bring_it() -> None:
    with session_scope() as session:
        user = factories.user(session, credits=0)

    def grant(_: int) -> Any:
        with session_scope() as session:
            return ledger.grant(session, user.id, Decimal(10), key="gift", reason="A gift", source="test").id

    assert len(set(at_once(64, grant))) == 1
    with session_scope() as session:
        assert ledger.balance(session, user.id).balance == 10
        assert ledger.violations(session) == []
