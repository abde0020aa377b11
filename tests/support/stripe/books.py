"""A shop without webhooks, so that reconciliation has everything to do, with a run of each kind."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from models.db import session_scope
from models.services.reconciliation import reconciliation
from models.tables import Purchase, ReconciliationFinding, ReconciliationRun, RunKind
from simulators.stripe import StripeSimulator
from tasks.queue import set_publisher
from tests.support.stripe.fixtures import stripe, stripe_server
from tests.support.stripe.shop import Shop, stripe_sync
from workers.reconciliation.runner import Reconciler

__all__ = ["stripe", "stripe_server"]  # fixtures of the shop's


@dataclass
class Books:
    """The shop and its reconciliation runs."""

    shop: Shop
    pauses: list[float] = field(default_factory=list)

    @property
    def stripe(self) -> StripeSimulator:
        return self.shop.stripe

    def reconciler(self, **changes: Any) -> Reconciler:
        """A reconciler without pauses and settling time, with Stripe's clock."""
        values: dict[str, Any] = {
            "sync": self.shop.stripe_sync,
            "sleep": self.pauses.append,
            "settling": timedelta(seconds=-5),
            "clock": lambda: datetime.fromtimestamp(self.stripe.now(), UTC),
        }
        return Reconciler(**values | changes)

    def run(self, kind: RunKind, reconciler: Reconciler | None = None, **how: Any) -> ReconciliationRun:
        run_id = (reconciler or self.reconciler()).run(kind, **how)
        assert run_id is not None
        return self.row(run_id)

    def row(self, run_id: UUID) -> ReconciliationRun:
        with session_scope() as session:
            return reconciliation.run(session, run_id)

    def found(self, run: ReconciliationRun) -> list[ReconciliationFinding]:
        with session_scope() as session:
            return list(reconciliation.findings(session, run.id))

    def watermark(self, kind: RunKind) -> datetime | None:
        with session_scope() as session:
            return reconciliation.watermark(session, kind)

    def intent(self, purchase: Purchase) -> dict[str, Any]:
        """The payment intent of a purchase at Stripe."""
        return self.stripe.get(str(purchase.payment_intent_id))

    def forget(self, *statements: str) -> None:
        """Change rows past the database's triggers, as a restore or a manual change does."""
        with session_scope() as session:
            session.execute(text("SET LOCAL session_replication_role = replica"))  # past the triggers and references
            for statement in statements:
                session.execute(text(statement))


@pytest.fixture
def books(stripe: StripeSimulator, committed_database: str) -> Iterator[Books]:
    before = set_publisher(lambda message: None)
    yield Books(Shop(stripe, stripe_sync(stripe)))
    set_publisher(before)
