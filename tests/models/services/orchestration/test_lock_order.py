"""Whoever changes several runs locks them in one order, from the top of execution trees down, and wallets after
them.
"""

from collections.abc import Callable, Sized
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.rules.executions.states import ExecutionStatus as S
from models.rules.prices.pricing import Tier
from models.services.credits import ledger
from models.services.executions import executions
from models.services.orchestration import deadlines, execution_tree, journal, leases
from models.services.orchestration.journal import Progress
from models.tables import Execution
from tests.support import factories
from tests.support.database.slowly import slow_down, wait_until_changing

pytestmark = pytest.mark.usefixtures("committed_database")

Change = Callable[[Session, list[Execution]], Sized]


def driven() -> list[Execution]:
    """Two driven runs, the one with the smaller id first; the other one is its parent."""
    with session_scope() as session:
        of = factories.workflow(session, factories.user(session, tier=Tier.ENTERPRISE))
        child, parent = sorted((factories.execution(session, of) for _ in range(2)), key=lambda run: run.id)
        for run in (child, parent):
            assert leases.claim(session, run.id, owner="a worker", seconds=300)
        for name, value in of_step(parent).items():
            setattr(child, name, value)
    return [child, parent]


def of_step(parent: Execution) -> dict[str, Any]:
    """Whose child a run is."""
    step = {"parent_node_id": "s", "parent_path": "", "parent_attempt": 1}
    return step | {"parent_execution_id": parent.id, "depth": parent.depth + 1}


def in_a_large_table(session: Session) -> None:
    """Rows are looked up one by one, in the order in which they are named."""
    for way in ("hashjoin", "mergejoin", "seqscan", "bitmapscan"):
        session.execute(text(f"SET LOCAL enable_{way} = off"))


def renew(session: Session, runs: list[Execution]) -> Sized:
    return leases.renew(session, [(run.id, 1) for run in runs], seconds=300)


def record(session: Session, runs: list[Execution]) -> Sized:
    return journal.record(session, [Progress(run.id, 1, Decimal(0), 0, 1, 0) for run in runs])


def record_of_a_child(session: Session, runs: list[Execution]) -> Sized:
    """Only the child is known to be in a tree."""
    said = [Progress(run.id, 1, Decimal(0), 0, 1, 0, in_tree=run.depth > 0) for run in runs]
    return journal.record(session, said)


def lock_tree(session: Session, runs: list[Execution]) -> Sized:
    execution_tree.lock(session, [run.id for run in runs])
    return record(session, runs)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (renew, renew),
        (renew, record),
        (record, record),
        (renew, lock_tree),
        (record, lock_tree),
        (record_of_a_child, renew),
    ],
)
def test_two_that_change_the_same_runs_do_not_lock_each_other_out(one: Change, other: Change) -> None:
    runs = driven()
    slow_down("workflow_executions")

    def change(how: Change, order: list[Execution]) -> Sized:
        with session_scope() as session:
            in_a_large_table(session)
            return how(session, order)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(change, one, runs)
        wait_until_changing()
        second = pool.submit(change, other, runs[::-1])
        assert len(first.result()) == len(second.result()) == 2


def test_an_ancestor_of_a_late_refund_is_not_locked_after_the_wallet() -> None:
    with session_scope() as session:
        user = factories.user(session)
        of = factories.workflow(session, user)
        top = factories.execution(session, of, status=S.WAITING)
        middle = factories.execution(session, of, status=S.CANCELLED, **of_step(top))
        past = datetime.now(UTC) - timedelta(hours=1)
        last = factories.execution(session, of, status=S.WAITING, deadline_at=past, **of_step(middle))
    slow_down("credits")

    def end() -> bool:
        with session_scope() as session:
            return deadlines.end(session, last.id)

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(end)
        wait_until_changing()
        with session_scope() as session:
            assert executions.request_cancel(session, user, top.id).status is S.CANCELLED
        assert ended.result()
    with session_scope() as session:
        assert ledger.balance(session, user.id).held == 0
        assert ledger.violations(session) == []
