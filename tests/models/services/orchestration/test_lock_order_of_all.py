"""All changes of a run, in all pairs at once on one execution tree: none of them deadlock."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import ForgeError
from models.rules.executions.states import ExecutionStatus as S
from models.rules.executions.states import NodeStatus
from models.rules.prices.pricing import Tier
from models.services.credits import api_calls, ledger
from models.services.executions import approvals, executions, retries
from models.services.orchestration import deadlines, journal, leases, redelivery
from models.services.orchestration.journal import Ending, Progress
from models.services.workflows import workflows
from models.tables import Execution, User
from tests.support import factories
from tests.support.database.slowly import slow_down
from tests.support.thorough import sample

pytestmark = pytest.mark.usefixtures("committed_database")


@dataclass(frozen=True)
class Tree:
    """A run and the run that one of its steps started; each has an approval node that waits for an answer."""

    owner: User
    parent: Execution
    child: Execution
    status: S

    @property
    def ids(self) -> list[UUID]:
        return [self.child.id, self.parent.id]


Change = Callable[[Session, Tree], object]


def cancel(session: Session, tree: Tree) -> object:
    return executions.request_cancel(session, tree.owner, tree.parent.id)


def cancel_child(session: Session, tree: Tree) -> object:
    return executions.request_cancel(session, tree.owner, tree.child.id)


def approve(session: Session, tree: Tree) -> object:
    return approvals.approve(session, tree.owner, tree.parent.id, "ask", approved=True)


def approve_child(session: Session, tree: Tree) -> object:
    return approvals.approve(session, tree.owner, tree.child.id, "ask", approved=True)


def resume(session: Session, tree: Tree) -> object:
    return approvals.resume(session, tree.owner, tree.child.id, max_credits=Decimal(5))


def retry(session: Session, tree: Tree) -> object:
    return retries.retry(session, tree.owner, tree.parent.id)


def claim(session: Session, tree: Tree) -> object:
    return [leases.claim(session, run_id, owner="a worker", seconds=300) for run_id in tree.ids[1:]]


def claim_child(session: Session, tree: Tree) -> object:
    return leases.claim(session, tree.child.id, owner="a worker", seconds=300)


def renew(session: Session, tree: Tree) -> object:
    return leases.renew(session, [(run_id, 1) for run_id in tree.ids], seconds=300)


def record(session: Session, tree: Tree) -> object:
    return journal.record(session, [Progress(run_id, 1, Decimal(0), 0, 1, 0, in_tree=True) for run_id in tree.ids])


def end_both(session: Session, tree: Tree) -> object:
    ending = Ending(S.FAILED, error={"message": "No."})
    return journal.record(
        session, [Progress(run_id, 1, Decimal(0), 0, 2, 0, ending=ending, in_tree=True) for run_id in tree.ids]
    )


def park(session: Session, tree: Tree) -> object:
    ending = Ending(S.WAITING, waiting_for={"type": "approval", "nodeId": "ask"})
    said = [Progress(run_id, 1, Decimal(0), 0, 2, 0, ending=ending, in_tree=True) for run_id in tree.ids]
    return journal.record(session, said)


def end_overdue(session: Session, tree: Tree) -> object:
    return deadlines.end(session, tree.child.id)


def sweep(session: Session, tree: Tree) -> object:
    return [
        deadlines.late(session),
        redelivery.stalled(session),
        redelivery.unclaimed_slots(session),
        api_calls.wake(session),
    ]


def delete_workflow(session: Session, tree: Tree) -> object:
    return workflows.delete(session, tree.owner, tree.parent.workflow_id)


CHANGES: list[Change] = [
    cancel,
    cancel_child,
    approve,
    approve_child,
    resume,
    retry,
    claim,
    claim_child,
    renew,
    record,
    end_both,
    park,
    end_overdue,
    sweep,
    delete_workflow,
]


def family(session: Session, status: S) -> Tree:
    """Driven by a worker of epoch 1, or waiting for everything at once: for answers, for credits and for its time."""
    owner = factories.user(session, tier=Tier.ENTERPRISE)
    of = factories.workflow(session, owner, graph=factories.chain(factories.node("ask", "approval")))
    held = status in (S.RUNNING, S.CANCELLING)
    now = datetime.now(UTC)
    columns = {
        "status": status,
        "epoch": 1,
        "started_at": now,
        "deadline_at": now - timedelta(hours=1),
        "lease_owner": "a worker" if held else None,
        "lease_expires_at": now + timedelta(minutes=5) if held else None,
        "waiting_for": None if held else {"type": "budget"},
    }
    parent = factories.execution(session, of, **columns)
    step = {"parent_execution_id": parent.id, "parent_node_id": "s", "parent_path": "", "parent_attempt": 1}
    child = factories.execution(session, of, **columns, depth=1, **step)
    asked = {"status": NodeStatus.WAITING, "external_ref": {"type": "approval"}}
    for run in (parent, child):
        factories.ran(session, run, "ask", **asked)
    waits = {"type": "subworkflow", "childExecutionId": str(child.id)}
    factories.ran(session, parent, "s", status=NodeStatus.WAITING, external_ref=waits)
    return Tree(owner, parent, child, status)


def clashes(one: Change, other: Change, changed: Tree) -> list[str]:
    """The database errors of two changes that begin together; our own refusals are expected."""
    together, found = Barrier(2), []

    def change(how: Change) -> None:
        together.wait()
        try:
            with session_scope() as session:
                session.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
                how(session, changed)
        except ForgeError:
            pass
        except DBAPIError as error:
            found.append(f"{one.__name__} and {other.__name__} of a {changed.status} run: {error.orig}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(change, (one, other)))
    return found


@pytest.mark.thorough
@pytest.mark.parametrize("status", [S.WAITING, S.RUNNING])
def test_no_two_changes_of_one_tree_lock_each_other_out(status: S) -> None:
    pairs = sample(list(itertools.combinations_with_replacement(CHANGES, 2)), 24)
    with session_scope() as session:
        changed = [family(session, status) for _ in pairs]
    for table in ("workflow_executions", "node_executions"):
        slow_down(table, 0.02)
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda asked: clashes(*asked[0], asked[1]), zip(pairs, changed, strict=True))
    assert [clash for pair in found for clash in pair] == []
    with session_scope() as session:
        assert ledger.violations(session) == []
