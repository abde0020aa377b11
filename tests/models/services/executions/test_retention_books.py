"""Statistics and the ledger do not change when the history of runs is removed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.values.periods import Period, TimeRange
from models.services.credits import ledger
from models.services.executions import retention
from models.services.operations import analytics
from models.services.workflows import usage, workflow_metrics
from tests.models.services.executions.test_retention import FREE, ended, owner, sweep


class TestStatistics:
    def test_go_on_counting_what_was_removed(self, session: Session) -> None:
        run = ended(session, created_at=datetime.now(UTC) - timedelta(days=FREE + 1), nodes_executed=2)
        mine, day = owner(session, run), run.created_at.date()

        def counted() -> list[Any]:
            year = usage.stats(session, mine, Period.YEAR)
            month = workflow_metrics.metrics(session, mine, run.workflow_id, TimeRange.MONTH).total
            return [
                (year.total_executions, year.successful_executions, year.nodes_executed),
                (month.executions, month.successful, month.nodes_executed, month.credits_used),
                analytics.daily(session, day, day)[0].runs,
            ]

        before = counted()
        assert before[0] == (1, 1, 2)
        retention.expire(session)
        assert counted() == before
        sweep(session)
        assert counted() == before


class TestTheLedger:
    def test_notices_a_hold_without_run_and_receipt(self, session: Session) -> None:
        run = ended(session)
        sweep(session)
        session.execute(text("DELETE FROM receipts"))
        assert [broken.invariant for broken in ledger.violations(session)] == ["hold_has_its_run_or_receipt"]
        assert ledger.violations(session)[0].subject == run.id

    def test_notices_a_receipt_that_says_something_else(self, session: Session) -> None:
        ended(session)
        sweep(session)
        session.execute(text("UPDATE receipts SET document = jsonb_set(document, '{total}', '\"1.00\"')"))
        assert [broken.invariant for broken in ledger.violations(session)] == ["receipt_is_what_was_captured"]
