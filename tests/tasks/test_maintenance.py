"""What beat asks for each minute: the past is removed, a bounded part of it at once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.execution import Execution
from models.receipt import Receipt
from models.rules.states import ExecutionStatus
from models.services import retention
from tasks import maintenance
from tests import factories

LONG_AGO = datetime.now(UTC) - timedelta(days=8)


def count(session: Session, table: type[Execution] | type[Receipt]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_history_goes_batch_by_batch_until_it_is_enough_for_once(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = factories.workflow(session, factories.user(session, credits=1000))
    more_than_a_batch = retention.RUNS + 2
    for _ in range(more_than_a_batch):
        factories.execution(
            session, of, status=ExecutionStatus.FAILED, finished_at=LONG_AGO, credits_charged=Decimal("1.10")
        )
    with monkeypatch.context() as patched:
        patched.setattr(maintenance, "MOST_BATCHES", 1)
        maintenance.prune()
        assert (count(session, Receipt), count(session, Execution)) == (retention.RUNS, 2)
    maintenance.prune()
    assert (count(session, Receipt), count(session, Execution)) == (more_than_a_batch, 0)
