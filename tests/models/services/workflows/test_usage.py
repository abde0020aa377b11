"""Usage that is reported is paid once from what is free; what it adds up to is read from indexes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import InsufficientCredits
from models.rules.values.periods import Period, bars
from models.services.credits import ledger
from models.services.workflows import usage
from tests.support import factories

NOW = datetime(2027, 1, 31, 14, 35, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "count", "first", "last"),
    [
        (Period.DAY, 24, datetime(2027, 1, 30, 15, tzinfo=UTC), datetime(2027, 1, 31, 14, tzinfo=UTC)),
        (Period.WEEK, 7, datetime(2027, 1, 25, tzinfo=UTC), datetime(2027, 1, 31, tzinfo=UTC)),
        (Period.MONTH, 30, datetime(2027, 1, 2, tzinfo=UTC), datetime(2027, 1, 31, tzinfo=UTC)),
        (Period.YEAR, 12, datetime(2026, 2, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.THIS_MONTH, 31, datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 31, tzinfo=UTC)),
    ],
)
def test_a_period_ends_with_the_bar_of_now(period: Period, count: int, first: datetime, last: datetime) -> None:
    starts = bars(period, NOW)
    assert (len(starts), starts[0], starts[-1]) == (count, first, last)
    assert starts == sorted(set(starts))


@pytest.mark.usefixtures("committed_database")
def test_many_reports_at_once_take_no_more_than_there_is() -> None:
    with session_scope() as session:
        user = factories.user(session, credits=10)
        workflow = factories.workflow(session, user)

    def report(_: int) -> bool:
        try:
            with session_scope() as session:
                said = {"workflow_id": str(workflow.id), "resource_type": "api_call_openai", "amount": Decimal(1)}
                usage.track(session, user, **said)
        except InsufficientCredits:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(report, range(32))) == 5
    with session_scope() as session:
        assert ledger.balance(session, user.id).balance == 0
        assert ledger.violations(session) == []


@pytest.mark.parametrize("statement", [usage._RUNS, usage._MOVES])
def test_statistics_are_read_from_an_index(session: Session, statement: object) -> None:
    crowd, user = factories.user(session, credits=0), factories.user(session)
    factories.execution(session, factories.workflow(session, user))
    row = factories.execution(session, factories.workflow(session, crowd), cap=0)
    session.execute(
        text("""
            INSERT INTO credit_transactions (user_id, version, key, type, amount, balance_after, reason, source)
            SELECT :user, i, 'fill:' || i, 'credit', 1, i, 'Many', 'test' FROM generate_series(1, 5000) i;
            INSERT INTO workflow_executions (user_id, workflow_id, version_id, workflow_name, status, priority,
                                             price_list, credits_cap, nodes_total, finished_at)
            SELECT :user, :workflow, :version, 'Many', 'success', 'low', 'test', 0, 2, now()
              FROM generate_series(1, 5000);
            ANALYZE credit_transactions;
            ANALYZE workflow_executions
        """),
        {"user": crowd.id, "workflow": row.workflow_id, "version": row.version_id},
    )
    asked = {"user": user.id, "starts": bars(Period.YEAR, NOW)}
    plan = "\n".join(session.scalars(text(f"EXPLAIN {statement}"), asked))
    assert "Index" in plan, plan
    assert "Seq Scan" not in plan, plan
