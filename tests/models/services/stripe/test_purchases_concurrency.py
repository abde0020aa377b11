"""Payments synced by many workers at once: each is granted once, and none is lost."""

from collections import Counter
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from models.db import session_scope
from models.errors import NotYet
from models.services.credits import ledger
from models.services.stripe import purchases, refunds
from models.services.stripe.purchases import Effect
from models.tables import Notification, Purchase
from tests.support import factories
from tests.support.database.concurrency import at_once
from tests.support.factories import billing


@pytest.mark.usefixtures("committed_database")
class TestConcurrently:
    def test_one_payment_grants_once_however_many_bring_it(self) -> None:
        with session_scope() as session:
            row = billing.purchase(session)
            paid = billing.intent(session, row)

        def sync(_: int) -> Effect:
            with session_scope() as session:
                return purchases.sync_intent(session, paid)

        assert Counter(at_once(32, sync)) == {Effect.GRANTED: 1, Effect.PAID_BEFORE: 31}
        with session_scope() as session:
            assert ledger.balance(session, row.user_id).balance == 100
            assert session.query(Notification).count() == 1
            assert ledger.violations(session) == []

    def test_payments_refunds_and_runs_of_one_user_end_as_they_add_up(self) -> None:
        with session_scope() as session:
            user = billing.customer(session, credits=50)
            rows = [billing.purchase(session, user) for _ in range(8)]
            paid = [billing.intent(session, row) for row in rows]
            back = [billing.refund(row, 333) for row in rows]
            workflow = factories.workflow(session, user)
            runs = [factories.execution(session, workflow, cap=1, credits_charged=Decimal(1)).id for _ in range(8)]

        def act(number: int) -> None:
            at, what = number % 8, number // 8 % 3
            with session_scope() as session:
                if what == 0:
                    purchases.sync_intent(session, paid[at])
                elif what == 1:
                    ledger.settle(session, runs[at], Decimal(1))
                    session.execute(_OVER, {"id": runs[at]})
                else:
                    try:
                        refunds.sync_refund(session, back[at])
                    except NotYet:
                        purchases.sync_intent(session, paid[at])

        at_once(96, act)
        with session_scope() as session:
            for refund in back:
                refunds.sync_refund(session, refund)
        with session_scope() as session:
            taken = sum(row.credits_taken for row in session.scalars(select(Purchase)))
            assert taken == 8 * Decimal("33.33")
            assert ledger.balance(session, user.id).balance == 50 + 800 - 8 - taken
            assert ledger.violations(session) == []


_OVER = text(
    "UPDATE workflow_executions SET status = 'failed', finished_at = coalesce(finished_at, now()) WHERE id = :id"
)
